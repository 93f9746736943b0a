import { z } from 'zod'
import { isDue, nextTry } from '../core/back-off.ts'
import { sha256Of } from '../core/digest.ts'
import type { CrawlContext, CrawlScope } from './types.ts'

/** Part of a listing that mirrors may not have: of the source's own mirrors it is remembered which have it not. */
export interface Absentable {
  /** Under which its content is remembered. */
  readonly memoKey: string
  readonly troubles: readonly string[]
  readonly found: object | null
  absentAt: string | null
  /** ISO 8601; set where it was not asked for, because no mirror had it not long ago. */
  notBefore: string | null
}

export interface Absences {
  /** Those to ask for now; the others have `absentAt` and `notBefore` set. */
  due<T extends Absentable>(units: readonly T[]): Promise<T[]>
  /** Keeps which of these every mirror said it has not, and forgets those that are there again. */
  remember(units: readonly Absentable[], frozen: boolean): Promise<void>
}

const Memo = z.object({
  tries: z.int().min(1),
  /** A folder that was asked for. */
  at: z.string(),
  nextTryAt: z.iso.datetime(),
  lastTryAt: z.iso.datetime().default(new Date(0).toISOString()),
})

/** What does not change any more will not come; what is alive may get a new repository, and should not wait for long. */
const MAX_DAYS = { frozen: 30, alive: 7 } as const

/**
 * What `mirrors` (every base URL that is asked) have been without before, so that distributions with many folders that
 * never were (a point release without an update) do not cost their requests night after night: a day's rest, then two,
 * and so on. With `again` everything is asked for.
 */
export function absencesAt(
  mirrors: readonly string[],
  again: boolean,
  context: CrawlContext,
  now: Date,
): Absences {
  const where = sha256Of(mirrors.join('\n')).slice(0, 16)
  const keyOf = (unit: Absentable): string => `absent/1 ${where} ${unit.memoKey}`
  const recall = async (unit: Absentable): Promise<z.infer<typeof Memo> | null> => {
    const memo = await context.cache.get(keyOf(unit))
    const parsed = Memo.safeParse(memo === null ? null : fromJson(memo.value))
    return parsed.success ? parsed.data : null
  }
  const put = (unit: Absentable, value: string): Promise<void> =>
    context.cache.put(keyOf(unit), { etag: null, lastModified: null, sha256: sha256Of(value), value })
  return {
    async due(units) {
      const wanted: (typeof units)[number][] = []
      for (const unit of units) {
        const memo = again ? null : await recall(unit)
        if (memo !== null && !isDue(memo, now)) {
          unit.absentAt = memo.at
          unit.notBefore = memo.nextTryAt
        } else wanted.push(unit)
      }
      return wanted
    },
    async remember(units, frozen) {
      for (const unit of units) {
        if (unit.notBefore !== null) continue
        const memo = await recall(unit)
        if (unit.found !== null && memo !== null) await put(unit, '')
        // A mirror that could not be asked may have it.
        if (unit.found !== null || unit.absentAt === null || unit.troubles.length > 0) continue
        const tries = (memo?.tries ?? 0) + 1
        const maxDays = frozen ? MAX_DAYS.frozen : MAX_DAYS.alive
        const lastTryAt = now.toISOString()
        const nextTryAt = nextTry(lastTryAt, tries, maxDays)
        await put(unit, JSON.stringify({ tries, at: unit.absentAt, lastTryAt, nextTryAt }))
      }
    },
  }
}

/** Mirrors that were given are asked whatever others have said before, and say nothing about those. */
export function asksAgain(scope: CrawlScope): boolean {
  return scope.again === true || scope.mirrors.length > 0
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
