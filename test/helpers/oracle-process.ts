/** Programs around other people's loaders: they read lines `OBJECT<TAB>BTF` and end what they say of each with `= done`. */
import { spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface OraclePair {
  readonly object: string
  readonly btf: string
}

/** What was said of one pair, line by line. */
export type OracleAnswer = readonly string[]

/** Asks about pairs, one after the other in one process; answers in their order. Throws where some are missing. */
export async function askOracle(program: string, pairs: readonly OraclePair[]): Promise<OracleAnswer[]> {
  const child = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] })
  // It may die before it has read all: that is told by the answers that are missing.
  child.stdin.on('error', () => undefined)
  child.stdin.end(asInput(pairs))
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) lines.push(line)
  return answersIn(program, lines, pairs.length)
}

/** The same at once, for few. */
export function askOracleSync(program: string, pairs: readonly OraclePair[]): OracleAnswer[] {
  const run = spawnSync(program, [], { input: asInput(pairs), encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  return answersIn(`${program} (${run.signal ?? run.stderr})`, run.stdout.split('\n'), pairs.length)
}

function asInput(pairs: readonly OraclePair[]): string {
  return pairs.map(({ object, btf }) => `${object}\t${btf}\n`).join('')
}

function answersIn(who: string, lines: readonly string[], count: number): OracleAnswer[] {
  const answers: OracleAnswer[] = []
  let answer: string[] = []
  for (const line of lines) {
    if (line === '= done') {
      answers.push(answer)
      answer = []
    } else {
      answer.push(line.trimEnd())
    }
  }
  if (answers.length !== count) throw new Error(`${who} ended after ${answers.length} of ${count}`)
  return answers
}
