import { listApt } from './apt/list.ts'
import { compareDebianVersions } from './apt/version.ts'
import { listAutoindex } from './autoindex/list.ts'
import type { ListDeps } from './deps.ts'
import { withDetails } from './details.ts'
import { givenMirrors, mirrorsFor } from './given-mirrors.ts'
import { withImageFacts } from './image-facts.ts'
import { listLaunchpad } from './launchpad/list.ts'
import { pairPackages } from './pair.ts'
import type { Found, Reader } from './reader.ts'
import { listRepomd } from './repomd/list.ts'
import { loadPackageTrust } from './rpm/package-trust.ts'
import { compareRpmVersions } from './rpm/version.ts'
import { listSnapshot } from './snapshot/list.ts'
import type { Index, SourceFile } from './schema.ts'
import type { CrawlContext, CrawlScope, Source } from './types.ts'

export { compareDebianVersions } from './apt/version.ts'
export type { ListDeps } from './deps.ts'
export { hostPolicies, loadSources } from './load-sources.ts'
export { memoryIndexCache } from './memory-cache.ts'
export { compareRpmVersions } from './rpm/version.ts'
export type { SourceFile } from './schema.ts'
export { selectPackages, type Selection } from './select.ts'
export * from './types.ts'

/** The index formats that can be read; a new one is a member here and in schema.ts. */
const READERS: { readonly [Format in Index['format']]: Reader<Format> } = {
  apt: listApt,
  repomd: listRepomd,
  autoindex: listAutoindex,
  launchpad: listLaunchpad,
  snapshot: listSnapshot,
}

/** Sources from their files, in the same order. */
export function createSources(files: readonly SourceFile[], deps: ListDeps): readonly Source[] {
  const archivesOf = (some: readonly SourceFile[]): Index['archives'] =>
    some.flatMap(({ indexes }) => indexes).flatMap(({ archives }) => archives)
  return files.map((file) => {
    const others = archivesOf(files.filter((other) => other !== file))
    const compareVersions = file.indexes.every(isRpm) ? compareRpmVersions : compareDebianVersions
    return {
      id: file.id,
      compareVersions,
      async list(asked, context) {
        const scope = { ...asked, mirrors: mirrorsFor(archivesOf([file]), others, asked.mirrors) }
        // Only mirrors of other sources were given: nobody is asked for this one.
        if (asked.mirrors.length > 0 && scope.mirrors.length === 0) {
          return { packages: [], indexes: [], partial: true }
        }
        const results: Found[] = []
        for (const index of file.indexes) {
          const own = ownScope(file, index, scope)
          if (own !== null) results.push(await read(file, index, own, context, deps))
        }
        const found = results.flatMap((result) => result.found)
        const packages = pairPackages(file.id, file.distro, found, context.log)
        packages.sort((a, b) => compareVersions(a.packageVersion, b.packageVersion))
        return {
          packages: packages.map((pkg) => withImageFacts(pkg, file.images, compareVersions)),
          indexes: results.flatMap((result) => result.indexes),
          partial: results.length < file.indexes.length,
        }
      },
      details: (files, context) => withDetails(file, files, context, deps),
      packageTrust: (context) => loadPackageTrust(file, context, deps),
    }
  })
}

function read<Format extends Index['format']>(
  file: SourceFile,
  index: Extract<Index, { format: Format }>,
  scope: CrawlScope,
  context: CrawlContext,
  deps: ListDeps,
): Promise<Found> {
  const reader: Reader<Format> = READERS[index.format]
  return reader(file, index, scope, context, deps)
}

/**
 * Mirrors that were given are told apart over all indexes of a source: each index is asked at its own. Null where none
 * of them is for this index: nobody else is asked.
 */
function ownScope(file: SourceFile, index: Index, scope: CrawlScope): CrawlScope | null {
  if (scope.mirrors.length === 0 || file.indexes.length === 1) return scope
  const all = givenMirrors(
    file.indexes.flatMap(({ archives }) => archives),
    scope.mirrors,
  )
  const own = new Set(index.archives.flatMap(({ id }) => all.get(id) ?? []))
  return own.size === 0 ? null : { ...scope, mirrors: [...own] }
}

function isRpm(index: Index): boolean {
  return index.format === 'repomd' || index.format === 'autoindex'
}
