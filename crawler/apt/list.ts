import PQueue from 'p-queue'
import { describeError } from '../../core/errors.ts'
import { HttpError } from '../../core/http.ts'
import type { ListDeps } from '../deps.ts'
import { withKernel } from '../pair.ts'
import type { AptIndex, SourceFile } from '../schema.ts'
import type { Found } from '../reader.ts'
import { reportOf } from '../report.ts'
import { absencesAt, asksAgain } from '../absences.ts'
import { type CrawlContext, CrawlError, type CrawlScope } from '../types.ts'
import { type AptConfig, readAptConfig } from './apt-config.ts'
import { readIndex } from './index-file.ts'
import type { Keyring } from '../openpgp/keyring.ts'
import { keyringLoader } from './mirror-keys.ts'
import { type Mirror, mirrorsOf } from './mirrors.ts'
import { fetchRelease } from './suite.ts'
import { type AptSuite, packagesOf, type Unit, wantedSuites } from './units.ts'

/** Suites read at one time: each holds one compressed index in memory, of 10 MB at most today. */
const SUITES_AT_ONCE = 3

/**
 * All kernels of an apt index that the scope wants. Never throws for a mirror's fault: the reports tell. Throws the
 * signal's reason, and {@link CrawlError} `BAD_SOURCE` for a given mirror that is no base URL.
 */
export async function listApt(
  file: SourceFile,
  index: AptIndex,
  scope: CrawlScope,
  context: CrawlContext,
  deps: ListDeps,
): Promise<Found> {
  const config = await machineConfig(scope, deps)
  for (const problem of config.problems) context.log.warn({ problem }, 'apt configuration')
  const mirrors = mirrorsOf(index, scope.mirrors, config.entries)
  const keyrings = keyringLoader(index, context, deps)
  const queue = new PQueue({ concurrency: SUITES_AT_ONCE })
  const wanted = wantedSuites(file, index, scope)
  const results = await queue.addAll(
    wanted.map(({ suite, units }) => async () => {
      const places = mirrors.get(suite.archive) ?? []
      const bases = places.map(({ base }) => base)
      const absences = absencesAt(bases, asksAgain(scope), context, deps.now())
      const due = await absences.due(units)
      await readSuite(index, suite, due, places, keyrings, context, deps)
      if (scope.mirrors.length === 0) await absences.remember(due, suite.frozen)
      return { units, places }
    }),
  )
  const found = results.flatMap(({ units, places }) => units.flatMap((unit) => packagesOf(unit, places)))
  return {
    found: withKernel(found, index.names.leastBytes),
    indexes: results.flatMap(({ units }) => units.map((unit) => reportOf(unit, 'stanzas'))),
  }
}

function machineConfig(scope: CrawlScope, deps: ListDeps): Promise<AptConfig> | AptConfig {
  const none = scope.mirrors.length > 0 || deps.aptRoot === null
  return none ? { entries: [], problems: [] } : readAptConfig(deps.aptRoot)
}

/** Asks mirror after mirror until every unit is found. */
async function readSuite(
  index: AptIndex,
  suite: AptSuite,
  units: readonly Unit[],
  mirrors: readonly Mirror[],
  keyrings: (mirror: Mirror) => Promise<Keyring>,
  context: CrawlContext,
  deps: ListDeps,
): Promise<void> {
  for (const mirror of mirrors) {
    const pending = units.filter((unit) => unit.found === null)
    if (pending.length === 0) return
    const url = `${mirror.base}/dists/${suite.suite}`
    for (const unit of pending) unit.url = url
    await attempt(pending, context, async () => {
      const { origins } = index
      const { suite: name, frozen } = suite
      const query = { suite: name, origins, frozen, keyring: await keyrings(mirror), now: deps.now() }
      const release = await fetchRelease(mirror, query, context)
      const [first] = pending
      if (first !== undefined) first.bytes += release?.bytes ?? 0
      for (const unit of pending) {
        await attempt([unit], context, async () => {
          const { component, archName: arch, names, memoKey } = unit
          const found =
            release === null ? null : await readIndex(release, { component, arch, names, memoKey }, context)
          if (found === null) unit.absentAt ??= mirror.base
          else {
            unit.found = { ...found, mirror }
            unit.bytes += found.bytes
          }
        })
      }
    })
  }
}

/** A mirror's fault is the units' trouble; anything else ends the listing. */
async function attempt(
  units: readonly Unit[],
  context: CrawlContext,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (err) {
    context.signal.throwIfAborted()
    if (!(err instanceof CrawlError || err instanceof HttpError)) throw err
    for (const unit of units) unit.troubles.push(describeError(err))
  }
}
