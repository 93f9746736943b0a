import { z } from 'zod'
import { sha256Of } from '../core/digest.ts'
import type { Catalog } from './types.ts'

const count = z.int().nonnegative()

/** How the last crawl of one source went. */
const SourceCrawl = z.object({
  source: z.string(),
  /** ISO 8601, UTC. */
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  /** True where it was told to stop before it was through. */
  interrupted: z.boolean(),
  /** Builds that were here already. */
  known: count,
  /** Builds that were taken in. */
  embedded: count,
  dwarf: count,
  /** Packages that gave no BTF in this crawl. */
  failed: count,
  /** Packages that failed before and are given some days. */
  waiting: count,
  /** Packages left alone, for their kernel has no eBPF. */
  withoutEbpf: count,
  /** Builds that are here and offered no longer. */
  gone: count,
  /** Indexes by what became of them. */
  indexes: z.object({ new: count, unchanged: count, absent: count, failed: count }),
  requests: count,
  bytes: count,
})
export type SourceCrawl = z.infer<typeof SourceCrawl>

const KEY = 'last-crawls/1'

/** Keeps how crawls of some sources went; what is known of others stays. */
export async function recordCrawls(
  crawls: readonly SourceCrawl[],
  catalog: Pick<Catalog, 'indexMemo' | 'putIndexMemo'>,
): Promise<void> {
  const all = new Map([...(await lastCrawls(catalog)), ...crawls].map((crawl) => [crawl.source, crawl]))
  const value = JSON.stringify([...all.values()])
  await catalog.putIndexMemo(KEY, { etag: null, lastModified: null, sha256: sha256Of(value), value })
}

/** How the last crawl of each source went, by the name of the source; what cannot be read counts as not there. */
export async function lastCrawls(catalog: Pick<Catalog, 'indexMemo'>): Promise<readonly SourceCrawl[]> {
  const memo = await catalog.indexMemo(KEY)
  if (memo === null) return []
  let value: unknown
  try {
    value = JSON.parse(memo.value)
  } catch {
    return []
  }
  const crawls = z.array(SourceCrawl).safeParse(value).data ?? []
  return [...crawls].sort((a, b) => (a.source < b.source ? -1 : 1))
}
