import { describeError } from '../../core/errors.ts'
import { HttpError } from '../../core/http.ts'
import { type Arch, parseVersion } from '../../core/kernel.ts'
import type { DetailsPlace } from '../../core/kernel-package.ts'
import { limits } from '../../core/limits.ts'
import { sha256Of } from '../../core/digest.ts'
import { asksAgain } from '../absences.ts'
import { givenMirrors } from '../given-mirrors.ts'
import { type KernelNames, kernelNames } from '../names.ts'
import { type FoundPackage, withKernel } from '../pair.ts'
import type { Found } from '../reader.ts'
import type { SnapshotIndex, SourceFile } from '../schema.ts'
import { type CrawlContext, CrawlError, type CrawlScope, type IndexReport } from '../types.ts'
import { type PastFiles, readPastFiles } from './past-files.ts'
import type { PastFile } from './schema.ts'

/** What became of one source package. */
interface Asked {
  readonly source: string
  readonly past: PastFiles | null
  readonly trouble: string | null
}

/**
 * All kernel packages that snapshot.debian.org remembers, those that no mirror has any more among them. It names them
 * with their SHA-1; a digest that proves something is told later, for what is downloaded, by the archive's own signed
 * indexes of that time (`archiveDetails`). Never throws for its fault: the reports tell.
 */
export async function listSnapshot(
  file: SourceFile,
  index: SnapshotIndex,
  scope: CrawlScope,
  context: CrawlContext,
): Promise<Found> {
  const base = baseOf(index, scope)
  const arches = Object.entries(file.arches) as [Arch, string][]
  const names = new Map(arches.map(([, name]) => [name, kernelNames(index.names, name)]))
  const scoped = new Set(scope.versions.map((version) => parseVersion(file.distro, version)))
  const versionOf = (text: string): string | null => {
    const found = index.releases.find(({ match }) => new RegExp(match).test(text))?.version ?? null
    return found !== null && (scoped.size === 0 || scoped.has(found)) ? found : null
  }
  const rules = sha256Of(JSON.stringify([index.names, file.arches])).slice(0, 16)
  const budget = { versions: limits.index.maxPastVersions }
  const asked: Asked[] = []
  for (const source of index.sources) {
    const query = {
      base,
      source,
      arches: [...names.keys()],
      accepts: (name: string, arch: string) => (names.get(arch)?.parse(name) ?? null) !== null,
      wanted: (version: string) => versionOf(version) !== null,
      memoKey: `snapshot/1 ${[file.id, source, rules].join(' ')}`,
      budget,
    }
    asked.push(await ask(query, scope, context))
  }
  const wantedArches = arches.filter(([arch]) => scope.arches.length === 0 || scope.arches.includes(arch))
  const found = asked
    .flatMap(({ past }) => past?.files ?? [])
    .flatMap((one) => {
      const version = versionOf(one.version)
      const [arch] = wantedArches.find(([, name]) => name === one.arch) ?? []
      const kernels = names.get(one.arch)
      if (version === null || arch === undefined || kernels === undefined) return []
      const places = detailsOf(one, base, index.versions[version] ?? {})
      return toPackage(one, version, arch, kernels, base, places)
    })
  const versions = Object.keys(index.versions).filter((version) => scoped.size === 0 || scoped.has(version))
  const where = versions.flatMap((version) => wantedArches.map(([arch, name]) => ({ version, arch, name })))
  return {
    found: withKernel(found, index.names.leastBytes),
    indexes: where.map(({ version, arch, name }, at) => ({
      ...reportOf(asked, base, at === 0),
      index: `${file.distro}/${version} snapshot ${name}`,
      version,
      arch,
    })),
  }
}

async function ask(
  query: Parameters<typeof readPastFiles>[0],
  scope: CrawlScope,
  context: CrawlContext,
): Promise<Asked> {
  const { source } = query
  try {
    return { source, past: await readPastFiles(query, !asksPast(scope), context), trouble: null }
  } catch (err) {
    context.signal.throwIfAborted()
    if (!(err instanceof CrawlError || err instanceof HttpError)) throw err
    // What is known of it does not become wrong.
    return { source, past: await readPastFiles(query, true, context), trouble: describeError(err) }
  }
}

function asksPast(scope: CrawlScope): boolean {
  return scope.past === true || asksAgain(scope)
}

function baseOf(index: SnapshotIndex, scope: CrawlScope): string {
  const own = index.archives.flatMap(({ mirrors }) => mirrors)
  const given =
    scope.mirrors.length > 0 ? [...givenMirrors(index.archives, scope.mirrors).values()].flat() : []
  return (given.length > 0 ? given : own)[0] ?? ''
}

/** Where the archive's own indexes may list it, the archive with the shorter indexes (security) first. */
function detailsOf(
  one: PastFile,
  base: string,
  suites: Readonly<Record<string, readonly string[]>>,
): DetailsPlace[] {
  return Object.entries(suites).flatMap(([archive, list]) =>
    one.seen
      .filter((seen) => seen.archive === archive)
      .map(({ at }) => ({
        kind: 'archive' as const,
        base: `${base}/archive/${archive}/${at}`,
        suites: list,
        arch: one.arch,
      })),
  )
}

function toPackage(
  one: PastFile,
  version: string,
  arch: Arch,
  names: KernelNames,
  base: string,
  details: readonly DetailsPlace[],
): FoundPackage[] {
  const name = names.parse(one.name)
  const [seen] = one.seen
  if (name === null || seen === undefined) return []
  const path = `${seen.path}/${one.fileName}`.split('/').map(encodeURIComponent).join('/')
  return [
    {
      name,
      version,
      arch,
      packageName: names.packageName(name.release),
      file: {
        name: one.name,
        version: one.version,
        urls: [`${base}/archive/${seen.archive}/${seen.at}${path}`],
        sizeBytes: one.sizeBytes,
        sha256: null,
        signed: false,
        date: isoOf(seen.at),
        details,
      },
    },
  ]
}

/** `20240131T031503Z` as ISO 8601. */
function isoOf(time: string): string {
  return time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
}

/** One service answers for all versions and architectures; what it cost is told once. */
function reportOf(
  asked: readonly Asked[],
  base: string,
  isFirst: boolean,
): Omit<IndexReport, 'index' | 'version' | 'arch'> {
  const all = asked.flatMap(({ past }) => past ?? [])
  const sum = (of: (past: PastFiles) => number): number => all.reduce((total, past) => total + of(past), 0)
  const pending = sum((past) => past.pending ?? 0)
  const unknown = all.some((past) => past.pending === null)
  const skipped = sum((past) => past.skipped)
  const troubles = asked.flatMap(({ trouble }) => trouble ?? [])
  const reasons = [
    ...(unknown ? ['not asked yet what has left the archive'] : []),
    ...(pending === 0 ? [] : [`${pending} versions are left for the next runs`]),
    ...(skipped === 0 ? [] : [`${skipped} unusable files`]),
    ...troubles,
  ]
  return {
    url: `${base}/mr/package/`,
    outcome:
      troubles.length > 0 ? 'failed' : all.some(({ outcome }) => outcome === 'new') ? 'new' : 'unchanged',
    bytes: isFirst ? sum((past) => past.bytes) : 0,
    signed: false,
    reason: reasons.length === 0 ? null : reasons.join('; '),
    past: true,
    ...(pending === 0 && !unknown ? {} : { partial: true }),
  }
}
