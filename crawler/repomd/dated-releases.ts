import { describeError } from '../../core/errors.ts'
import { HttpError } from '../../core/http.ts'
import type { Arch } from '../../core/kernel.ts'
import { limits } from '../../core/limits.ts'
import { mirrorsOf } from '../rpm/mirrors.ts'
import { recallRpms } from '../rpm/entries.ts'
import { type RpmUnit, wantedUnits } from '../rpm/units.ts'
import type { RepomdIndex, SourceFile } from '../schema.ts'
import { type CrawlContext, CrawlError, type CrawlScope, type IndexReport } from '../types.ts'
import { readXmlBytes } from '../xml.ts'

/** Repositories of an index that are wanted in this run, those of dated releases among them. */
export interface DatedUnits {
  readonly units: readonly RpmUnit[]
  /** What became of the lists of releases. */
  readonly reports: readonly IndexReport[]
}

type Repo = RepomdIndex['versions'][string][number]

/** What a list of releases gave: their names, newest first, or why nobody knows them. */
interface ReleaseList {
  readonly url: string
  readonly releases: readonly string[]
  readonly bytes: number
  readonly outcome: 'new' | 'absent' | 'failed'
  readonly reason: string | null
}

/**
 * Every repository of a scope, where some are once for each release that a list on the mirror names (`releases`). Such a
 * repository never changes: it is read once and remembered, newest first, so many a run, and none at all where what has
 * been superseded is not asked for. While some are still to be read, the report of their list is partial.
 */
export async function datedUnits(
  file: SourceFile,
  index: RepomdIndex,
  scope: CrawlScope,
  context: CrawlContext,
): Promise<DatedUnits> {
  const lists = new Map<Repo, ReleaseList>()
  const versions: Record<string, Repo[]> = {}
  const wanted = new Set(wantedUnits(file, index, scope).map(({ version }) => version))
  for (const [version, repos] of Object.entries(index.versions)) {
    versions[version] = []
    for (const repo of repos) {
      if (repo.releases === undefined || !wanted.has(version)) versions[version].push(repo)
      else {
        const list = await fetchReleases(repo, repo.releases, index, scope, context)
        const dated = { ...repo, each: { ...repo.each, release: [...list.releases] } }
        lists.set(dated, list)
        versions[version].push(dated)
      }
    }
  }
  const units = wantedUnits(file, { ...index, versions }, scope)
  const { asked, left } = await withinBudget(units, scope, context)
  return { units: asked, reports: reportsOf(file, versions, lists, units, left) }
}

/** Units that are read in this run: what is remembered costs nothing, of the rest the newest. */
async function withinBudget(
  units: readonly RpmUnit[],
  scope: CrawlScope,
  context: CrawlContext,
): Promise<{ readonly asked: readonly RpmUnit[]; readonly left: readonly RpmUnit[] }> {
  const asked: RpmUnit[] = []
  const unread: RpmUnit[] = []
  for (const unit of units) {
    const known = unit.release === null || (await recallRpms(unit.memoKey, context.cache)) !== null
    ;(known ? asked : unread).push(unit)
  }
  unread.sort((a, b) => (dateOf(a.release) < dateOf(b.release) ? 1 : -1))
  const budget = scope.past === true ? limits.index.maxPastReleases : 0
  return { asked: [...asked, ...unread.slice(0, budget)], left: unread.slice(budget) }
}

function reportsOf(
  file: SourceFile,
  versions: Readonly<Record<string, readonly Repo[]>>,
  lists: ReadonlyMap<Repo, ReleaseList>,
  units: readonly RpmUnit[],
  left: readonly RpmUnit[],
): IndexReport[] {
  return Object.entries(versions).flatMap(([version, repos]) =>
    repos.flatMap((repo) => {
      const list = lists.get(repo)
      if (list === undefined) return []
      const arches = new Set(units.filter((unit) => unit.version === version).map(({ arch }) => arch))
      return [...arches].map((arch) => listReport(file, version, arch, repo, list, left))
    }),
  )
}

function listReport(
  file: SourceFile,
  version: string,
  arch: Arch,
  repo: Repo,
  { url, bytes, outcome, reason }: ReleaseList,
  left: readonly RpmUnit[],
): IndexReport {
  const later = left.filter((unit) => unit.version === version && unit.arch === arch).length
  return {
    index: `${file.distro}/${version} ${repo.archive}/${repo.releases ?? ''}`,
    version,
    arch,
    url,
    outcome,
    bytes,
    signed: false,
    reason: reason ?? (later === 0 ? null : `${later} repositories of dated releases are for later runs`),
    ...(later === 0 ? {} : { partial: true }),
  }
}

/** From the first mirror that has the list. */
async function fetchReleases(
  repo: Repo,
  path: string,
  index: RepomdIndex,
  scope: CrawlScope,
  context: CrawlContext,
): Promise<ReleaseList> {
  const troubles: string[] = []
  let url = ''
  for (const base of mirrorsOf(index, scope).get(repo.archive) ?? []) {
    url = `${base}/${path}`
    try {
      const { http, signal } = context
      const document = await http.document(url, { signal, maxBytes: limits.index.maxReleaseBytes })
      if (document === null) continue
      if (document === 'not-modified')
        throw new CrawlError('ILL', `${url}: not modified since nothing was asked`)
      const releases = await parseReleases(url, document.bytes)
      return { url, releases, bytes: document.bytes.byteLength, outcome: 'new', reason: null }
    } catch (err) {
      context.signal.throwIfAborted()
      if (!(err instanceof CrawlError || err instanceof HttpError)) throw err
      troubles.push(describeError(err))
    }
  }
  const none = { url, releases: [], bytes: 0 }
  return troubles.length > 0
    ? { ...none, outcome: 'failed', reason: troubles.join('; ') }
    : { ...none, outcome: 'absent', reason: 'no mirror has it' }
}

/**
 * The releases that Amazon's `releasemd.xml` names, newest first. Throws `MALFORMED` where it is no such file or names none
 * or too many.
 */
export async function parseReleases(name: string, bytes: Uint8Array): Promise<readonly string[]> {
  const releases = new Set<string>()
  let root: string | null = null
  await readXmlBytes(name, bytes, {
    open(tag, { version = '' }) {
      root ??= tag
      // What is no date is an alias, and leads to one of the others.
      if (tag === 'release' && /^\d{4}\.\d{1,3}\.\d{8}$/.test(version)) releases.add(version)
    },
    close: () => undefined,
    text: () => undefined,
  })
  if (root !== 'root' || releases.size === 0) {
    throw new CrawlError('MALFORMED', `${name}: expected a list of dated releases, got none`)
  }
  if (releases.size > limits.index.maxReleases) {
    throw new CrawlError('MALFORMED', `${name}: more than ${limits.index.maxReleases} releases`)
  }
  return [...releases].sort((a, b) => (dateOf(a) < dateOf(b) ? 1 : -1))
}

/** `2023.6.20250107` is of 20250107; what is behind the year counts quarters, not always with two digits. */
function dateOf(release: string | null): string {
  return release?.split('.').at(-1) ?? ''
}
