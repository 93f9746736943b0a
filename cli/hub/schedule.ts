import { describeError, isAbort } from '../../core/errors.ts'
import { sleep } from '../../core/hosts.ts'
import type { Log } from '../../core/log.ts'
import { Exit } from '../exit.ts'

/** The longest pause: setTimeout counts milliseconds in 31 bits. */
const MAX_MS = 20 * 24 * 60 * 60 * 1000
const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `24h`, `90m`, `7d` as milliseconds; null where it is nothing like that, or more than 20 days. */
export function parseDuration(text: string): number | null {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const ms = Number(count) * (UNITS[unit] ?? NaN)
  return Number.isFinite(ms) && ms >= 1000 && ms <= MAX_MS ? ms : null
}

/**
 * Works now and then every `everyMs`, up to a tenth of it later at random: many hubs shall not ask at one moment. How
 * one run ended decides nothing about the next. Returns when the signal is aborted.
 */
export async function repeat(
  everyMs: number,
  work: () => Promise<void>,
  deps: { readonly signal: AbortSignal; readonly log: Log; readonly random: () => number },
): Promise<void> {
  const { signal, log, random } = deps
  while (!signal.aborted) {
    // Not the wall clock: somebody may set it.
    const nextAt = performance.now() + everyMs + random() * everyMs * 0.1
    try {
      await work()
    } catch (err) {
      if (isAbort(err) && signal.aborted) return
      // A run that ended with failures has told them itself.
      if (!(err instanceof Exit))
        log.error({ reason: describeError(err) }, 'a crawl failed; the next one is due')
    }
    try {
      await sleep(nextAt - performance.now(), signal)
    } catch {
      return
    }
  }
}
