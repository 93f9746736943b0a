/** The real libbpf as an oracle: what it makes of an object's CO-RE relocations with a given BTF. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ReloKind, type BpfObject, type Resolution } from '../../minimize/index.ts'

export interface RelologPair {
  readonly object: string
  readonly btf: string
}

/** libbpf's messages about one object with one BTF. */
export interface RelologResult {
  readonly lines: readonly string[]
  /** False where libbpf refused the object before anything else. */
  readonly opened: boolean
}

/** Compiles the oracle; null where there is no C compiler or no libbpf to build it with. */
export function buildRelolog(): string | null {
  const source = new URL('./relolog/relolog.c', import.meta.url).pathname
  const program = join(mkdtempSync(join(tmpdir(), 'relolog-')), 'relolog')
  const gcc = spawnSync('gcc', ['-O2', '-o', program, source, '-lbpf'], { encoding: 'utf8' })
  if (gcc.error !== undefined || gcc.stderr.includes('bpf/libbpf.h: No such file')) return null
  if (gcc.status !== 0) throw new Error(`relolog does not compile: ${gcc.stderr}`)
  return program
}

/** Asks the oracle about pairs, one after the other in one process; results in the pairs' order. */
export async function* relolog(
  program: string,
  pairs: readonly RelologPair[],
): AsyncGenerator<RelologResult> {
  const child = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(asInput(pairs))
  const collect = collector()
  for await (const line of createInterface({ input: child.stdout })) {
    const result = collect(line)
    if (result !== null) yield result
  }
}

/** The same for a few pairs, at once. Throws where the oracle does not answer all. */
export function relologSync(program: string, pairs: readonly RelologPair[]): RelologResult[] {
  const run = spawnSync(program, [], { input: asInput(pairs), encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  const collect = collector()
  const results = run.stdout
    .split('\n')
    .map(collect)
    .filter((result) => result !== null)
  if (results.length !== pairs.length) throw new Error(`relolog ended early: ${run.signal ?? run.stderr}`)
  return results
}

function asInput(pairs: readonly RelologPair[]): string {
  return pairs.map(({ object, btf }) => `${object}\t${btf}\n`).join('')
}

/** Takes line after line, gives a result with the line that ends one. */
function collector(): (line: string) => RelologResult | null {
  let lines: string[] = []
  return (line) => {
    if (!line.startsWith('= ')) {
      lines.push(line.trimEnd())
      return null
    }
    const result = { lines, opened: line === '= done' }
    lines = []
    return result
  }
}

/**
 * libbpf's messages in few words, one entry for each thing that it did: `handler#3: insn 17 = 2312`. Ids of the
 * kernel's types are left out, since a min BTF has its own. Ends where libbpf gave up.
 */
export function outcomesInLog(object: BpfObject, result: RelologResult): string[] {
  const kinds = new Map(object.relocations.map((r) => [`${r.functionName}#${r.number}`, r.kind]))
  const outcomes: string[] = []
  for (const line of result.lines) {
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
const isMemoryAccess = (opcode: number | null): boolean => opcode !== null && [1, 2, 3].includes(opcode & 7)

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
