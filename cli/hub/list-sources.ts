import PQueue from 'p-queue'
import type { KernelPackage } from '../../core/kernel-package.ts'
import type { CrawlScope, IndexReport } from '../../crawler/index.ts'
import { contextOf, type CrawlDeps } from './crawl-options.ts'
import { rememberListing } from './listing-memory.ts'

/** Each reads a few indexes of some ten megabytes at a time. */
const SOURCES_AT_ONCE = 4

/** What sources offer now. */
export interface Listed {
  readonly listed: readonly KernelPackage[]
  readonly indexes: readonly IndexReport[]
  /** Those indexes of which everything that there is was asked for. */
  readonly whole: readonly IndexReport[]
}

/** Reads the indexes of sources and remembers what they list. An index that could not be read is in the reports. */
export async function listSources(
  scope: CrawlScope,
  deps: Pick<CrawlDeps, 'sources' | 'catalog' | 'context' | 'httpFor' | 'now'>,
): Promise<Listed> {
  const listed: KernelPackage[] = []
  const indexes: IndexReport[] = []
  const whole: IndexReport[] = []
  // A source whose hosts are slow to answer, or to say nothing, does not keep the others waiting.
  const queue = new PQueue({ concurrency: SOURCES_AT_ONCE })
  const listings = await queue.addAll(
    deps.sources.map((source) => () => source.list(scope, contextOf(source.id, deps))),
  )
  for (const listing of listings) {
    indexes.push(...listing.indexes)
    listed.push(...listing.packages)
    if (listing.partial !== true) whole.push(...listing.indexes)
  }
  await rememberListing(listed, whole, deps)
  return { listed, indexes, whole }
}
