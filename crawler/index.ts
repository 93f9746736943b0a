import { listApt } from './apt/list.ts'
import type { ListDeps } from './deps.ts'
import type { Index, SourceFile } from './schema.ts'
import type { CrawlContext, CrawlScope, Listing, Source } from './types.ts'

export { compareDebianVersions } from './apt/version.ts'
export type { ListDeps } from './deps.ts'
export { hostPolicies, loadSources } from './load-sources.ts'
export { memoryIndexCache } from './memory-cache.ts'
export type { SourceFile } from './schema.ts'
export { selectPackages, type Selection } from './select.ts'
export * from './types.ts'

/** Everything that an index of one format offers. */
type Reader<Format extends Index['format']> = (
  file: SourceFile,
  index: Extract<Index, { format: Format }>,
  scope: CrawlScope,
  context: CrawlContext,
  deps: ListDeps,
) => Promise<Listing>

/** The index formats that can be read; a new one is a member here and in schema.ts. */
const READERS: { readonly [Format in Index['format']]: Reader<Format> } = { apt: listApt }

/** Sources from their files, in the same order. */
export function createSources(files: readonly SourceFile[], deps: ListDeps): readonly Source[] {
  return files.map((file) => ({
    id: file.id,
    async list(scope, context) {
      const listings: Listing[] = []
      for (const index of file.indexes) {
        listings.push(await READERS[index.format](file, index, scope, context, deps))
      }
      return {
        packages: listings.flatMap((listing) => listing.packages),
        indexes: listings.flatMap((listing) => listing.indexes),
      }
    },
  }))
}
