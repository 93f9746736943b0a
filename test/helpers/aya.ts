/** The real aya as an oracle, made of the crates that Debian packages. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { type BpfObject, ReloKind, type Resolution } from '../../minimize/index.ts'
import type { OracleAnswer } from './oracle-process.ts'
import { isMemoryAccess } from './relolog.ts'
import { cargo, unpackCrates } from './rust-crates.ts'

/** The immediate of an instruction that nobody may run. */
const POISON = 0xbad2310

/**
 * Builds the oracle.
 * @param dir where to unpack and build
 * @returns its program; null where no mirror answers
 * @throws Error where the suite lacks a crate, a download fails or has another digest, or the oracle does not compile
 */
export async function buildAya(dir: string): Promise<string | null> {
  if (!(await unpackCrates(['aya-obj'], dir))) return null
  cpSync(new URL('./aya', import.meta.url).pathname, join(dir, 'oracle'), { recursive: true })
  cargo(join(dir, 'oracle'), 'build', '--release', '--quiet')
  return join(dir, 'oracle/target/release/aya-oracle')
}

/** Why it says nothing of an object, or gave up in the middle of it; null where it relocated all. */
export function ayaRefusal(answer: OracleAnswer): string | null {
  return /^(?:refused|stopped): (.*)$/.exec(answer[0] ?? '')?.[1] ?? null
}

/** An answer without ids of the kernel's types, since a min BTF has its own. */
export function withoutIds(object: BpfObject, answer: OracleAnswer): string[] {
  const ofIds = new Set(
    object.relocations.filter(({ kind }) => kind === ReloKind.TYPE_ID_TARGET).map((each) => placeOf(each)),
  )
  return answer.map((line) =>
    ofIds.has(line.split(': ', 1)[0] ?? '') ? line.replace(/imm [1-9]\d*$/, 'imm ID') : line,
  )
}

/** Where aya made something else of an instruction than our resolver says: `handler+16: 2312, by aya 2304`. */
export function ayaDifferences(answer: OracleAnswer, resolutions: readonly Resolution[]): string[] {
  const changed = new Map(
    answer.map((line) => {
      const [, place = '', off, imm] = /^(.*): code \d+ off (-?\d+) imm (-?\d+)$/.exec(line) ?? []
      return [place, { off: Number(off), imm: Number(imm) }] as const
    }),
  )
  const differences: string[] = []
  for (const resolution of resolutions) {
    const place = placeOf(resolution.relocation)
    const insn = changed.get(place)
    const isOffset = isMemoryAccess(resolution.relocation.opcode) && insn?.imm !== POISON
    const theirs = insn === undefined ? inPlace(resolution) : isOffset ? insn.off : insn.imm
    const ours = inInstruction(resolution)
    if (ours !== theirs) differences.push(`${place}: ${ours}, by aya ${theirs}`)
  }
  return differences
}

function placeOf({ functionName, functionOffset }: Resolution['relocation']): string {
  return `${functionName}+${functionOffset}`
}

/** What the compiler put in, as the instruction has it. */
function inPlace({ local }: Resolution): number | null {
  return local === null ? null : asImmediate(local.value)
}

function inInstruction({ outcome }: Resolution): number | null {
  switch (outcome.status) {
    case 'resolved':
      return asImmediate(outcome.value)
    case 'absent':
      return 0
    case 'poisoned':
      return POISON
    case 'failed':
      return null
  }
}

/** An instruction has 32 bits for it, the second half of a wide one the rest. */
function asImmediate(value: bigint): number {
  return Number(BigInt.asIntN(32, value))
}
