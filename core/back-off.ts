const DAY_MS = 24 * 3600_000

/** Days until the next try after the first, second … failure. A month, because packages do get repaired. */
const DAYS: readonly number[] = [1, 2, 4, 8, 16, 30]

/** A try that failed, and when the next one is due: ISO 8601, UTC. */
export interface Waiting {
  readonly lastTryAt: string
  readonly nextTryAt: string
}

/**
 * Whether it is time for the next try. A try that is still to come was noted by a clock that was wrong: what follows from it
 * would be waited for until that time has come.
 */
export function isDue({ lastTryAt, nextTryAt }: Waiting, now: Date): boolean {
  const [last, next] = [Date.parse(lastTryAt), Date.parse(nextTryAt)]
  return !(next > now.getTime()) || last > now.getTime()
}

/** When to try again what has failed `tries` times, the last time at `lastTryAt` (both ISO 8601, UTC). */
export function nextTry(lastTryAt: string, tries: number, maxDays = Infinity): string {
  const days = DAYS[Math.min(tries, DAYS.length) - 1] ?? 1
  return new Date(Date.parse(lastTryAt) + Math.min(days, maxDays) * DAY_MS).toISOString()
}
