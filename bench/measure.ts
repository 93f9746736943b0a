/** One side of a comparison. */
export interface Contender {
  readonly name: string
  /** Does the work once; what it gives is a number of bytes or anything else worth telling. */
  run(): Promise<string | void>
}

export interface Comparison {
  /** `package → BTF, kernel with BTF`. */
  readonly work: string
  /** What it works on: named, so that the number means something. */
  readonly input: string
  readonly ours: Contender
  readonly theirs: Contender
  /** How much faster ours is to be. */
  readonly atLeast: number
  readonly rounds: number
}

interface Outcome {
  readonly work: string
  readonly input: string
  readonly ratio: number
  readonly atLeast: number
  readonly notes: readonly string[]
}

/** How long each took. */
export interface TimedResult extends Outcome {
  readonly oursMs: number
  readonly theirsMs: number
}

/** How much each took of something that has a size. */
export interface SizedResult extends Outcome {
  readonly oursMB: number
  readonly theirsMB: number
}

export type ComparisonResult = TimedResult | SizedResult

/**
 * Both sides in one run on one machine, in an order that turns with every round, so that a warm cache or a busy
 * neighbour favours neither; the median of each counts.
 */
export async function compare(comparison: Comparison): Promise<TimedResult> {
  const times = { ours: [] as number[], theirs: [] as number[] }
  const notes = new Set<string>()
  for (let round = 0; round < comparison.rounds; round++) {
    const order = round % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const)
    for (const side of order) {
      const contender = comparison[side]
      const started = performance.now()
      const note = await contender.run()
      times[side].push(performance.now() - started)
      if (typeof note === 'string') notes.add(`${contender.name}: ${note}`)
    }
  }
  const oursMs = median(times.ours)
  const theirsMs = median(times.theirs)
  const { work, input, atLeast } = comparison
  return { work, input, oursMs, theirsMs, ratio: theirsMs / oursMs, atLeast, notes: [...notes] }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

/** One line per comparison, as it comes. */
export function describeResult(result: ComparisonResult): string {
  const amounts =
    'oursMs' in result
      ? `ours ${result.oursMs.toFixed(1)} ms, theirs ${result.theirsMs.toFixed(1)} ms`
      : `ours ${result.oursMB.toFixed(3)} MB, theirs ${result.theirsMB.toFixed(3)} MB`
  const verdict = result.ratio >= result.atLeast ? 'ok' : 'BELOW'
  return [
    `${verdict.padEnd(5)} ${result.ratio.toFixed(2)}x (goal ${result.atLeast}x)  ${result.work}`,
    `      ${amounts}; ${result.input}`,
    ...result.notes.map((note) => `      ${note}`),
  ].join('\n')
}
