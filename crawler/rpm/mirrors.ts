import PQueue from 'p-queue'
import { describeError } from '../../core/errors.ts'
import { HttpError } from '../../core/http.ts'
import { absencesAt, asksAgain } from '../absences.ts'
import { givenMirrors } from '../given-mirrors.ts'
import { CrawlError, type CrawlContext, type CrawlScope } from '../types.ts'
import type { FoundRpms, RpmIndex, RpmUnit } from './units.ts'

/** Indexes read at one time: each streams, and keeps only its kernels. */
const INDEXES_AT_ONCE = 4

/** Where to ask for each archive, in order: the mirrors that were given and nobody else, or else the source's own. */
export function mirrorsOf(index: RpmIndex, scope: CrawlScope): ReadonlyMap<string, readonly string[]> {
  if (scope.mirrors.length > 0) return givenMirrors(index.archives, scope.mirrors)
  return new Map(index.archives.map(({ id, mirrors }) => [id, mirrors]))
}

/**
 * Reads every unit from the first mirror that has it, but for what no mirror had not long ago. `read` gives null where a mirror has it not; its
 * {@link CrawlError} and `HttpError` are the mirror's trouble, anything else ends the listing.
 */
export async function readUnits(
  units: readonly RpmUnit[],
  mirrors: ReadonlyMap<string, readonly string[]>,
  scope: CrawlScope,
  now: Date,
  context: CrawlContext,
  read: (unit: RpmUnit, folder: string, others: readonly string[]) => Promise<FoundRpms | null>,
): Promise<void> {
  const queue = new PQueue({ concurrency: INDEXES_AT_ONCE })
  await queue.addAll(
    units.map((unit) => async () => {
      const bases = mirrors.get(unit.archive) ?? []
      const absences = absencesAt(bases, asksAgain(scope), context, now)
      if ((await absences.due([unit])).length === 0) return
      const folders = bases.map((base) => `${base}/${unit.path}`)
      for (const folder of folders) {
        unit.url = folder
        const others = folders.filter((other) => other !== folder)
        if (await attempt(unit, folder, others, context, read)) break
      }
      if (scope.mirrors.length === 0) await absences.remember([unit], unit.frozen)
    }),
  )
}

/** True where the unit was found. */
async function attempt(
  unit: RpmUnit,
  folder: string,
  others: readonly string[],
  context: CrawlContext,
  read: (unit: RpmUnit, folder: string, others: readonly string[]) => Promise<FoundRpms | null>,
): Promise<boolean> {
  try {
    unit.found = await read(unit, folder, others)
    if (unit.found === null) unit.absentAt ??= folder
  } catch (err) {
    context.signal.throwIfAborted()
    if (!(err instanceof CrawlError || err instanceof HttpError)) throw err
    unit.troubles.push(describeError(err))
  }
  return unit.found !== null
}
