const DAY_MS = 24 * 3600_000

/** Days until the next try after the first, second … failure. A month, because packages do get repaired. */
const DAYS: readonly number[] = [1, 2, 4, 8, 16, 30]

/** When to try again what has failed `tries` times, the last time at `lastTryAt` (both ISO 8601, UTC). */
export function nextTry(lastTryAt: string, tries: number, maxDays = Infinity): string {
  const days = DAYS[Math.min(tries, DAYS.length) - 1] ?? 1
  return new Date(Date.parse(lastTryAt) + Math.min(days, maxDays) * DAY_MS).toISOString()
}
