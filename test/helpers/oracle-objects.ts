/** Real objects and what is cut of a kernel for them, as files that other loaders read. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadBtf, parseBtf, validateBtf } from '../../btf/index.ts'
import {
  type BpfObject,
  KernelView,
  minimizeFor,
  parseBpfObject,
  type PreparedTool,
  prepareTool,
  type Resolution,
} from '../../minimize/index.ts'
import type { FoundObject } from './bpf-objects.ts'

export interface OracleObject {
  readonly path: string
  readonly object: BpfObject
  readonly tool: PreparedTool
}

/** One object and one kernel. */
export interface OracleCase extends OracleObject {
  readonly fullPath: string
  readonly minPath: string
  readonly resolutions: readonly Resolution[]
}

/** Puts objects below `dir`, and prepares each as a tool of its own. */
export function oracleObjects(found: readonly FoundObject[], dir: string): OracleObject[] {
  return found.map(({ name, bytes }, i) => {
    const path = join(dir, `${i}.bpf.o`)
    writeFileSync(path, bytes)
    const object = parseBpfObject(name, bytes)
    return { path, object, tool: prepareTool([object]) }
  })
}

/** Puts a kernel's BTF below `dir`, taken out of its ELF file where it is in one, and the validated min BTF of each object. */
export function oracleCases(objects: readonly OracleObject[], kernel: Uint8Array, dir: string): OracleCase[] {
  const fullPath = join(dir, 'full.btf')
  const btf = loadBtf(kernel)
  writeFileSync(fullPath, btf.bytes)
  const view = new KernelView(btf)
  return objects.map((each, i) => {
    const minimized = minimizeFor(each.tool, view)
    validateBtf(parseBtf(minimized.bytes))
    const minPath = join(dir, `${i}.min.btf`)
    writeFileSync(minPath, minimized.bytes)
    return { ...each, fullPath, minPath, resolutions: minimized.resolutions[0] ?? [] }
  })
}
