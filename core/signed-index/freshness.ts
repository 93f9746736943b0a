import { IndexError } from './errors.ts'

/** What an index says of itself, as far as its age goes. */
export interface Aged {
  /** Grows with every index of a hub. */
  readonly version: number
  /** ISO 8601, UTC. */
  readonly expires_at: string
}

/**
 * Throws IndexError `EXPIRED` where nobody vouches for an index any more (TUF 5.3.10: a freeze), `ROLLBACK` where a newer
 * one was seen before (TUF 5.3.4). `seen` is the highest version seen so far, 0 for none.
 */
export function checkFresh(index: Aged, seen: number, now: Date): void {
  if (index.version < seen) {
    throw new IndexError(
      'ROLLBACK',
      `index ${index.version} is older than ${seen}, which was seen before: somebody serves an old state`,
    )
  }
  if (new Date(index.expires_at).getTime() <= now.getTime()) {
    throw new IndexError(
      'EXPIRED',
      `index ${index.version} expired at ${index.expires_at}: the hub has to export again, or this clock is wrong`,
    )
  }
}

/** The version of a new index: the time in seconds, and more than the last one whatever the clock says. */
export function nextVersion(last: number, now: Date): number {
  return Math.max(last + 1, Math.floor(now.getTime() / 1000))
}
