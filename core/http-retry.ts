/** How often and how soon something is tried again. */
export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly tries: number
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  /** Longer than this nobody is waited for. */
  readonly maxRetryAfterMs: number
  /** From 0 to 1: spreads the tries of many clients. */
  readonly random: () => number
}

/**
 * The pause before try number `attempt + 1`: exponential with jitter over its upper half, and at least what the host
 * asked for. Null where the host asks for more than is waited for.
 */
export function retryDelayMs(
  policy: RetryPolicy,
  attempt: number,
  retryAfterMs: number | null,
): number | null {
  if (retryAfterMs !== null && retryAfterMs > policy.maxRetryAfterMs) return null
  const ceilingMs = Math.min(policy.backoffMaxMs, policy.backoffBaseMs * 2 ** (attempt - 1))
  const delayMs = ceilingMs * (0.5 + policy.random() / 2)
  return Math.max(delayMs, retryAfterMs ?? 0)
}

/** `Retry-After` in its two forms (RFC 9110 10.2.3), as milliseconds from `now`; null where it is neither. */
export function parseRetryAfter(text: string, now: Date): number | null {
  const trimmed = text.trim()
  if (/^\d{1,9}$/.test(trimmed)) return Number(trimmed) * 1000
  // Date.parse takes nearly anything; the three HTTP dates all begin with the name of a day.
  if (!/^[A-Z][a-z]{2,8},? /.test(trimmed)) return null
  const at = Date.parse(trimmed)
  return Number.isNaN(at) ? null : Math.max(0, at - now.getTime())
}
