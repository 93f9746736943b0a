import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeBtf, Kind, layoutDigest, mergeBtf, parseBtf } from '../../btf/index.ts'
import type { BtfType } from '../../btf/types.ts'
import type { Build, Tool } from '../../store/types.ts'
import { assembleBtf, info } from './btf-bytes.ts'
import { sampleBuild, type SampleBuild, type TestStore } from './store.ts'

/**
 * A small but real kernel BTF: a `task_struct` whose `tgid` lies `tgidOffset` (up to 40) bytes in, and types that no tool here
 * needs. Others have other bytes but the same layout where only `padding` differs.
 */
export function tinyKernel(tgidOffset = 4, padding = 0): Uint8Array {
  const types: BtfType[] = [
    { kind: 'int', id: 1, name: 'int', sizeBytes: 4, bits: 32, offsetBits: 0, encoding: 1 },
    { kind: 'int', id: 2, name: 'char', sizeBytes: 1, bits: 8, offsetBits: 0, encoding: 1 },
    { kind: 'array', id: 3, name: '', typeId: 2, indexTypeId: 1, length: 16 },
    {
      kind: 'struct',
      id: 4,
      name: 'task_struct',
      sizeBytes: 64,
      hasBitfieldSizes: false,
      members: [
        { name: 'pid', typeId: 1, offsetBits: 0, bitfieldBits: 0 },
        { name: 'tgid', typeId: 1, offsetBits: tgidOffset * 8, bitfieldBits: 0 },
        { name: 'comm', typeId: 3, offsetBits: (tgidOffset + 4) * 8, bitfieldBits: 0 },
      ],
    },
    { kind: 'func_proto', id: 5, name: '', typeId: 1, params: [] },
  ]
  const functions = Array.from({ length: 200 + padding }, (_, i): BtfType => ({
    kind: 'func',
    id: 6 + i,
    name: `some_kernel_function_${i}`,
    typeId: 5,
    linkage: 1,
  }))
  return encodeBtf([...types, ...functions])
}

/** Puts a BTF and a build of it into a store. */
export async function addKernel(
  store: TestStore,
  sample: SampleBuild & { readonly btf: Uint8Array },
): Promise<Build> {
  await store.blobs.put(sample.btf)
  return store.catalog.addBuild(sampleBuild(sample))
}

/** Gives a build one module, which has one struct of 8 bytes without members. */
export async function addModule(
  store: TestStore,
  build: Build,
  module: { readonly name: string; readonly struct: string },
): Promise<void> {
  const base = parseBtf(await store.blobs.read(build.btf.digest))
  const strings = Buffer.from(`${module.struct}\0`)
  const split = assembleBtf({ records: [[base.strings.end, info(Kind.STRUCT), 8]], strings })
  const merged = mergeBtf(base, [parseBtf(split, { base })])
  await store.catalog.putModules(build.id, {
    modules: [{ name: module.name, origin: 'embedded', btf: await store.blobs.put(split) }],
    merged: await store.blobs.put(merged),
    mergedLayout: layoutDigest(parseBtf(merged)),
  })
}

/** Compiles a BPF program that reads these members of `task_struct`. Throws where clang is missing or fails. */
export function compileTool(members: readonly ('pid' | 'tgid')[]): Uint8Array {
  const reads = members.map((name) => `  sum += t->${name};`).join('\n')
  const source = `
struct task_struct { int pid; int tgid; } __attribute__((preserve_access_index));
__attribute__((section("raw_tp/sched_process_exec"), used)) int probe(struct task_struct *t)
{
  int sum = 0;
${reads}
  return sum;
}
`
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-test-'))
  try {
    writeFileSync(join(dir, 'tool.c'), source)
    const args = ['-target', 'bpf', '-g', '-O2', '-c', 'tool.c', '-o', 'tool.bpf.o']
    const result = spawnSync('clang', args, { cwd: dir, encoding: 'utf8' })
    if (result.status !== 0) throw new Error(`clang: ${result.error?.message ?? result.stderr}`)
    return readFileSync(join(dir, 'tool.bpf.o'))
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** Registers a tool of one object. */
export async function addTool(
  store: TestStore,
  name: string,
  version: string,
  object: Uint8Array,
): Promise<Tool> {
  const ref = await store.blobs.put(object)
  return store.catalog.addTool({ name, version, objects: [{ name: `${name}.bpf.o`, ...ref }] })
}
