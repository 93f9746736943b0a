/** The real libbpf as an oracle: what it makes of an object's CO-RE relocations with a given BTF. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ReloKind, type BpfObject, type Resolution } from '../../minimize/index.ts'
import type { OracleAnswer } from './oracle-process.ts'

export const RELOLOG_SOURCE = new URL('./relolog/relolog.c', import.meta.url).pathname

/** Compiles the oracle; null where there is no C compiler or no libbpf to build it with. */
export function buildRelolog(): string | null {
  const program = join(mkdtempSync(join(tmpdir(), 'relolog-')), 'relolog')
  const gcc = spawnSync('gcc', ['-O2', '-o', program, RELOLOG_SOURCE, '-lbpf'], { encoding: 'utf8' })
  if (gcc.error !== undefined || gcc.stderr.includes('bpf/libbpf.h: No such file')) return null
  if (gcc.status !== 0) throw new Error(`relolog does not compile: ${gcc.stderr}`)
  return program
}

/** libbpf's messages as they are, but for ids of the kernel's types, since a min BTF has its own. */
export function stableLines(object: BpfObject, log: OracleAnswer): string[] {
  const kinds = kindsOf(object)
  return log.map((line) => {
    const [, prog = '', number = ''] = /^libbpf: prog '(.*)': relo (#\d+): /.exec(line) ?? []
    if (kinds.get(prog + number) !== ReloKind.TYPE_ID_TARGET) return line
    return line.replace(/( -> |success )[1-9]\d*/g, '$1an id')
  })
}

function kindsOf(object: BpfObject): ReadonlyMap<string, number> {
  return new Map(object.relocations.map((r) => [`${r.functionName}#${r.number}`, r.kind]))
}

/**
 * libbpf's messages in few words, one entry for each thing that it did: `handler#3: insn 17 = 2312`. Ids of the
 * kernel's types are left out, since a min BTF has its own. Ends where libbpf gave up.
 */
export function outcomesInLog(object: BpfObject, log: OracleAnswer): string[] {
  const kinds = kindsOf(object)
  const outcomes: string[] = []
  for (const line of log) {
    const parsed = /^libbpf: prog '(.*)': relo (#\d+): (.*)$/.exec(line)
    if (parsed === null) throw new Error(`a line that relolog should not print: ${line}`)
    const [, prog = '', number = '', text = ''] = parsed
    const relo = `${prog}${number}`
    const patched = /^patched insn #(\d+) \(.*\) (?:imm|imm64|off) \d+ -> (\d+)$/.exec(text)
    const width = /^patched insn #(\d+) \(.*\) mem_sz (\d+) -> (\d+)$/.exec(text)
    const poisoned = /^substituting insn #(\d+) w\/ invalid insn$/.exec(text)
    if (patched !== null) {
      const value = kinds.get(relo) === ReloKind.TYPE_ID_TARGET && patched[2] !== '0' ? 'an id' : patched[2]
      outcomes.push(`${relo}: insn ${patched[1]} = ${value}`)
    } else if (width !== null) {
      outcomes.push(`${relo}: insn ${width[1]} width ${width[2]} -> ${width[3]}`)
    } else if (poisoned !== null) {
      outcomes.push(`${relo}: insn ${poisoned[1]} poisoned`)
    } else if (/^failed to (relocate|patch)/.test(text)) {
      outcomes.push(`${relo}: failed`)
    } else if (/^no matching targets found$/.test(text)) {
      outcomes.push(`${relo}: no match`)
    }
  }
  return outcomes
}

const LDIMM64 = 0x18
/** Whether an instruction has the value in its offset, and not in its immediate. */
export const isMemoryAccess = (opcode: number | null): boolean =>
  opcode !== null && [1, 2, 3].includes(opcode & 7)

/** What our resolver says, in the same words. */
export function outcomesOf(resolutions: readonly Resolution[]): string[] {
  const outcomes: string[] = []
  for (const { relocation, local, outcome } of resolutions) {
    const relo = `${relocation.functionName}#${relocation.number}`
    const insn = relocation.functionOffset / 8
    if (outcome.status === 'failed') return [...outcomes, `${relo}: failed`]
    const isUnmatched = outcome.status !== 'resolved' && outcome.because.why !== 'other-width'
    if (isUnmatched) outcomes.push(`${relo}: no match`)
    if (outcome.status === 'poisoned') {
      if (relocation.opcode === LDIMM64) outcomes.push(`${relo}: insn ${insn + 1} poisoned`)
      outcomes.push(`${relo}: insn ${insn} poisoned`)
    } else if (outcome.status === 'absent') {
      outcomes.push(`${relo}: insn ${insn} = 0`)
    } else {
      const value = relocation.kind === ReloKind.TYPE_ID_TARGET ? 'an id' : outcome.value
      outcomes.push(`${relo}: insn ${insn} = ${value}`)
      const width = local?.accessBytes
      if (isMemoryAccess(relocation.opcode) && width !== outcome.accessBytes) {
        outcomes.push(`${relo}: insn ${insn} width ${width} -> ${outcome.accessBytes}`)
      }
    }
  }
  return outcomes
}
