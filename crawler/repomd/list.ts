import type { ListDeps } from '../deps.ts'
import { readFolders } from '../autoindex/index-file.ts'
import { loadKeyring } from '../openpgp/load.ts'
import { withKernel } from '../pair.ts'
import type { Found } from '../reader.ts'
import { reportOf } from '../report.ts'
import { mirrorsOf, readUnits } from '../rpm/mirrors.ts'
import { recallRpms } from '../rpm/entries.ts'
import { type FoundRpms, packagesOf, type RpmUnit } from '../rpm/units.ts'
import type { RepomdIndex, SourceFile } from '../schema.ts'
import type { CrawlContext, CrawlScope } from '../types.ts'
import { readIndex } from './index-file.ts'
import { datedUnits } from './dated-releases.ts'
import { fetchMirrorList } from './mirror-list.ts'

/**
 * All kernels of repositories with repodata that the scope wants; a repository that has lost it is read as a web page
 * where the source says how. Never throws for a mirror's fault: the reports tell. Throws the signal's reason, and
 * `CrawlError` `BAD_SOURCE` for a given mirror that is no base URL.
 */
export async function listRepomd(
  file: SourceFile,
  index: RepomdIndex,
  scope: CrawlScope,
  context: CrawlContext,
  deps: ListDeps,
): Promise<Found> {
  const keys = index.keyrings === undefined ? null : await loadKeyring(index.keyrings, context, deps)
  // Where nobody's keys are here, its metadata is as good as unsigned, and the reports say so.
  const keyring = keys === null || keys.keys.length === 0 ? null : keys
  const trust = { keyring, optional: index.signature === 'optional', now: deps.now(), tempDir: deps.tempDir }
  const { units, reports } = await datedUnits(file, index, scope, context)
  await readUnits(
    units,
    mirrorsOf(index, scope),
    scope,
    deps.now(),
    context,
    async (unit, folder, others) => {
      const bases = index.mirrorList ? await listedBases(folder, unit, context) : [folder]
      for (const base of bases ?? []) {
        const found = await readIndex(base, unit, trust, context)
        // Other mirrors are built alike, but those of a mirror list are named by a digest of what they hold.
        if (found !== null) return withBases(found, base, index.mirrorList ? (bases ?? []) : others)
      }
      const pages =
        index.folders.length === 0 ? null : await readFolders(folder, index.folders, unit, context)
      return pages === null ? null : withBases(pages, folder, others)
    },
  )
  return {
    found: withKernel(units.flatMap(packagesOf), index.names.leastBytes),
    indexes: [...units.map((unit) => reportOf(unit, 'packages')), ...reports],
  }
}

/** What a mirror list names; of what never changes it is remembered too. */
async function listedBases(
  folder: string,
  unit: RpmUnit,
  context: CrawlContext,
): Promise<readonly string[] | null> {
  const memo = unit.frozen ? await recallRpms(unit.memoKey, context.cache) : null
  const base = /^(https?:.*)\/repodata\/repomd\.xml$/.exec(memo?.url ?? '')?.[1]
  return base === undefined ? fetchMirrorList(folder, unit, context) : [base]
}

function withBases(found: FoundRpms, first: string, others: readonly string[]): FoundRpms {
  const bases = [first, ...others.filter((other) => other !== first)]
  return { ...found, bases: bases.map((base) => `${base}/`) }
}
