import type { ListDeps } from './deps.ts'
import type { FoundPackage } from './pair.ts'
import type { Index, SourceFile } from './schema.ts'
import type { CrawlContext, CrawlScope, IndexReport } from './types.ts'

/** What the indexes of one format offer, not yet paired: images and debug packages can be in different ones. */
export interface Found {
  readonly found: readonly FoundPackage[]
  readonly indexes: readonly IndexReport[]
}

/** Everything that an index of one format offers. Never throws for a mirror's fault: the reports tell. */
export type Reader<Format extends Index['format']> = (
  file: SourceFile,
  index: Extract<Index, { format: Format }>,
  scope: CrawlScope,
  context: CrawlContext,
  deps: ListDeps,
) => Promise<Found>
