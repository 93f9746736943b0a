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

/** What a contender's runs gave. */
export interface Standing {
  readonly name: string
  /** The median. */
  readonly ms: number
  /** What it told of the run that is nearest to that. */
  readonly notes: readonly string[]
}

/**
 * All in one run on one machine, in an order that turns with every round, so that a warm cache or a busy neighbour
 * favours none; the median of each counts.
 */
export async function race(contenders: readonly Contender[], rounds: number): Promise<readonly Standing[]> {
  const laps = contenders.map(() => [] as { readonly ms: number; readonly note: string | void }[])
  for (let turn = 0; turn < rounds * contenders.length; turn++) {
    const round = Math.floor(turn / contenders.length)
    const place = (turn + round) % contenders.length
    const started = performance.now()
    const note = await contenders[place]?.run()
    laps[place]?.push({ ms: performance.now() - started, note })
  }
  return contenders.map(({ name }, place) => {
    const sorted = [...(laps[place] ?? [])].sort((a, b) => a.ms - b.ms)
    const note = sorted[(sorted.length - 1) >> 1]?.note
    const notes = typeof note === 'string' ? note.split('\n').map((line) => `${name}: ${line}`) : []
    return { name, ms: median(sorted.map(({ ms }) => ms)), notes }
  })
}

/** Two sides, one against the other. */
export async function compare(comparison: Comparison): Promise<TimedResult> {
  const [ours, theirs] = await race([comparison.ours, comparison.theirs], comparison.rounds)
  return versus(comparison, ours as Standing, theirs as Standing)
}

/** How one of a race did against another. */
export function versus(
  { work, input, atLeast }: Pick<Comparison, 'work' | 'input' | 'atLeast'>,
  ours: Standing,
  theirs: Standing,
): TimedResult {
  const notes = [...ours.notes, ...theirs.notes]
  return { work, input, oursMs: ours.ms, theirsMs: theirs.ms, ratio: theirs.ms / ours.ms, atLeast, notes }
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
