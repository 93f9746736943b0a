import type { Relocation } from './bpf-object.ts'
import type { Mismatch, TargetSpec } from './match.ts'
import { ReloKind } from './relocation-kind.ts'
import type { ReloValue } from './relocation-value.ts'

/** What libbpf makes of a relocation on one kernel. */
export type Outcome =
  | ({ readonly status: 'resolved' } & ReloValue)
  /** Nothing matches, and the relocation's kind answers that with 0: `exists` checks, type sizes and ids. */
  | { readonly status: 'absent'; readonly because: Mismatch }
  /** The instruction becomes one that the verifier refuses, unless a check keeps it from being reached. */
  | { readonly status: 'poisoned'; readonly because: Mismatch }
  /** The whole object is refused. */
  | { readonly status: 'failed'; readonly reason: FailureReason; readonly problem: string }

/**
 * `invalid`: on every kernel. `ambiguous`: candidates disagree. `unreadable`: a candidate has it, but not so that it
 * could be read. `unfit`: the value does not suit the instruction.
 */
export type FailureReason = 'invalid' | 'ambiguous' | 'unreadable' | 'unfit'

/** One of the kernel's types that has what a relocation asks. */
export interface CandidateMatch extends TargetSpec {
  /** Null where the field is there, but what is asked of it cannot be told. */
  readonly value: bigint | null
}

/** What became of one relocation. */
export interface Resolution {
  readonly relocation: Relocation
  /** What the compiler put in, from the object's own types; null where the relocation is invalid. */
  readonly local: ReloValue | null
  readonly outcome: Outcome
  /** All that match, ids ascending, whether or not libbpf still considered them. */
  readonly matches: readonly CandidateMatch[]
}

export function failed(reason: FailureReason, problem: string): Outcome {
  return { status: 'failed', reason, problem }
}

/** The outcome of a relocation of this kind to which no candidate has an answer. */
export function unanswered(kind: number, because: Mismatch): Outcome {
  return { status: ANSWERED_WITH_ZERO.has(kind) ? 'absent' : 'poisoned', because }
}

const ANSWERED_WITH_ZERO: ReadonlySet<number> = new Set([
  ReloKind.FIELD_EXISTS,
  ReloKind.TYPE_EXISTS,
  ReloKind.TYPE_MATCHES,
  ReloKind.TYPE_SIZE,
  ReloKind.TYPE_ID_TARGET,
  ReloKind.ENUMVAL_EXISTS,
])
