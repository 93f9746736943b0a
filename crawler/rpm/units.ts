import { type Arch, parseVersion } from '../../core/kernel.ts'
import { sha256Of } from '../../core/digest.ts'
import type { FoundPackage } from '../pair.ts'
import type { AutoindexIndex, RepomdIndex, SourceFile } from '../schema.ts'
import type { FoundReport, Reportable } from '../report.ts'
import type { CrawlScope } from '../types.ts'
import type { RpmEntries } from './entries.ts'
import { type RpmKernelNames, rpmKernelNames } from './names.ts'

export type RpmIndex = RepomdIndex | AutoindexIndex

/** One folder or repository of rpm packages that is wanted, and what became of it. */
export interface RpmUnit extends Reportable {
  /** As the distribution says it. */
  readonly archName: string
  readonly names: RpmKernelNames
  /** Below a mirror's base, without a slash at its end. */
  readonly path: string
  /** The dated release that it is of; null where it is of none. */
  readonly release: string | null
  /** True where its packages have to be signed. */
  readonly mustBeSigned: boolean
  readonly troubles: string[]
  bytes: number
  url: string
  found: FoundRpms | null
}

/** What an index gave, and where its links lead. */
export interface FoundRpms extends RpmEntries, FoundReport {
  /** Folders that links are relative to, in the order to try, each with a slash at its end. */
  readonly bases: readonly string[]
}

/** Every repository of a scope, once for each architecture and each combination of its words. */
export function wantedUnits(file: SourceFile, index: RpmIndex, scope: CrawlScope): RpmUnit[] {
  const versions = new Set(scope.versions.map((version) => parseVersion(file.distro, version)))
  const arches = (Object.entries(file.arches) as [Arch, string][]).filter(
    ([arch]) => scope.arches.length === 0 || scope.arches.includes(arch),
  )
  const rules = sha256Of(JSON.stringify(index.names)).slice(0, 16)
  const names = new Map(arches.map(([arch, archName]) => [arch, rpmKernelNames(index.names, archName)]))
  return Object.entries(index.versions)
    .filter(([version]) => versions.size === 0 || versions.has(version))
    .flatMap(([version, repos]) =>
      repos.flatMap((repo) =>
        arches
          .filter(([arch]) => repo.arches?.includes(arch) ?? true)
          .flatMap(([arch, archName]) =>
            combinations({ ...repo.each, arch: [archName], version: [version] }).map((words) => {
              // Words can have words in them.
              const path = fill(fill(repo.path, words), words)
              return {
                label: `${file.distro}/${version} ${repo.archive}/${path}`,
                version,
                arch,
                archName,
                names: names.get(arch) ?? rpmKernelNames(index.names, archName),
                archive: repo.archive,
                path,
                frozen: repo.frozen,
                release: repo.releases === undefined ? null : (words.release ?? null),
                mustBeSigned: (repo.packages ?? index.packages) === 'required',
                memoKey: `rpm/1 ${[file.id, version, repo.archive, path, archName, rules].join(' ')}`,
                troubles: [],
                absentAt: null,
                notBefore: null,
                bytes: 0,
                url: '',
                found: null,
              }
            }),
          ),
      ),
    )
}

/** A unit's kernel packages, with their URLs at every base that has them. */
export function packagesOf(unit: RpmUnit): FoundPackage[] {
  if (unit.found === null) return []
  const { entries, bases, signed } = unit.found
  return entries.flatMap((entry) => {
    const name = unit.names.parse(entry)
    if (name === null) return []
    const { packageName, ...kernel } = name
    const urls = bases.flatMap((base) => linkFrom(base, entry.href) ?? [])
    if (urls.length === 0) return []
    return [
      {
        name: kernel,
        version: unit.version,
        arch: unit.arch,
        packageName,
        file: {
          name: entry.name,
          version: `${entry.version}-${entry.release}`,
          urls,
          sizeBytes: entry.sizeBytes,
          sha256: entry.sha256,
          signed: signed && entry.sha256 !== null,
          ...(unit.mustBeSigned ? { mustBeSigned: true as const } : {}),
          ...(entry.date === null ? {} : { date: entry.date }),
        },
      },
    ]
  })
}

/** A link as RFC 3986 resolves it, also where it climbs; null where it leads to what is not fetched. */
export function linkFrom(base: string, href: string): string | null {
  if (!URL.canParse(href, base)) return null
  const url = new URL(href, base)
  // A web page must not make us read this machine's files.
  const same = url.protocol === new URL(base).protocol
  return same || url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null
}

/** Every way to choose one value for each word. */
function combinations(words: Readonly<Record<string, readonly string[]>>): Record<string, string>[] {
  return Object.entries(words).reduce<Record<string, string>[]>(
    (all, [word, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [word]: value }))),
    [{}],
  )
}

function fill(template: string, words: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (all, word: string) => words[word] ?? all)
}
