/** One program, one kernel: what our resolver, our minimizer and the real libbpf make of them. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Btf, loadBtf, parseBtf, validateBtf } from '../../btf/index.ts'
import {
  type BpfObject,
  type Minimized,
  minimize,
  parseBpfObject,
  type Resolution,
  reloKindName,
} from '../../minimize/index.ts'
import { outcomesInLog, outcomesOf } from './relolog.ts'
import { askOracleSync } from './oracle-process.ts'

export interface CoreCase {
  readonly object: BpfObject
  readonly full: Btf
  readonly min: Btf
  readonly minimized: Minimized
  /** Our outcomes in few words: `byte_off = 8`, `field_exists absent: no-member b`. */
  readonly said: readonly string[]
  /** Ours and libbpf's, in the oracle's words, with the full and with the min BTF; null where it was not asked. */
  readonly oracle: { readonly ours: string[]; readonly full: string[]; readonly min: string[] } | null
}

/** Runs a case; `relolog` is the oracle's program, null where there is none. The min BTF is validated. */
export function coreCase(objectBytes: Uint8Array, kernelBytes: Uint8Array, relolog: string | null): CoreCase {
  const object = parseBpfObject('case.bpf.o', objectBytes)
  const full = loadBtf(kernelBytes)
  validateBtf(full)
  const minimized = minimize(full, [object])
  const min = parseBtf(minimized.bytes)
  validateBtf(min)
  const resolutions = minimized.resolutions[0] ?? []
  const oracle = relolog === null ? null : ask(relolog, object, objectBytes, kernelBytes, minimized)
  return { object, full, min, minimized, said: resolutions.map(say), oracle }
}

function ask(
  relolog: string,
  object: BpfObject,
  objectBytes: Uint8Array,
  kernelBytes: Uint8Array,
  minimized: Minimized,
): CoreCase['oracle'] {
  const dir = mkdtempSync(join(tmpdir(), 'core-case-'))
  const path = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(dir, name), bytes)
    return join(dir, name)
  }
  const objectPath = path('case.bpf.o', objectBytes)
  const [full, min] = askOracleSync(relolog, [
    { object: objectPath, btf: path('full.btf', kernelBytes) },
    { object: objectPath, btf: path('min.btf', minimized.bytes) },
  ]).map((log) => outcomesInLog(object, log))
  return { ours: outcomesOf(minimized.resolutions[0] ?? []), full: full ?? [], min: min ?? [] }
}

/** One resolution in few words. */
export function say({ relocation, outcome }: Resolution): string {
  const kind = reloKindName(relocation.kind)
  switch (outcome.status) {
    case 'resolved':
      return `${kind} = ${BigInt.asIntN(64, outcome.value)}`
    case 'failed':
      return `${kind} failed: ${outcome.reason}`
    default:
      return `${kind} ${outcome.status}: ${outcome.because.why} ${outcome.because.at}`
  }
}

/** Names of a BTF's types and of their members, `struct task.pid`, sorted: for comparing what two BTFs keep. */
export function namesIn(btf: Btf): string[] {
  const names = new Set<string>()
  for (let id = 1; id < btf.idCount; id++) {
    const type = btf.type(id)
    if (type.name !== '') names.add(`${type.kind} ${type.name}`)
    if (type.kind !== 'struct' && type.kind !== 'union') continue
    for (const member of type.members) names.add(`${type.kind} ${type.name}.${member.name}`)
  }
  return [...names].sort()
}
