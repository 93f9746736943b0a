import { type Failure, lastCrawls, type SourceCrawl } from '../store/index.ts'
import { crawlFamilies } from './crawl-metrics.ts'
import type { Hub } from './hub.ts'
import { type Family, single } from './metrics.ts'
import { readSeldom } from './read-seldom.ts'
import type { Snapshot } from './snapshots.ts'

/** What every scrape reads of the catalog's file is read at most once in this while. */
const READ_EVERY_MS = 10_000

/** What only the catalog's file tells, not a snapshot. */
interface CatalogFacts {
  readonly failures: readonly Failure[]
  readonly blobs: number
  readonly crawls: readonly SourceCrawl[]
}

/** What a hub has, as gauges: kernels, tools, blobs, the newest build of each source, failures by code, the last crawls. */
export class CatalogMetrics {
  readonly #hub: Hub
  readonly #read: () => Promise<CatalogFacts>

  constructor(hub: Hub) {
    this.#hub = hub
    this.#read = readSeldom(READ_EVERY_MS, () => this.#readNow())
  }

  /** Throws what the catalog throws. */
  async families(): Promise<Family[]> {
    const snapshot = await this.#hub.snapshots.get()
    const facts = await this.#read()
    return [
      ...inventory(snapshot),
      ...newestBuilds(snapshot),
      ...recorded(facts),
      ...crawlFamilies(facts.crawls),
    ]
  }

  async #readNow(): Promise<CatalogFacts> {
    const { catalog } = this.#hub
    const [failures, blobs, crawls] = await Promise.all([
      catalog.failures(),
      catalog.referencedBlobs(),
      lastCrawls(catalog),
    ])
    return { failures, blobs: blobs.size, crawls }
  }
}

function inventory({ kernels, tools }: Snapshot): Family[] {
  const perKernel = countBy(kernels.entries, ({ kernel }) => `${kernel.distro}\n${kernel.arch}`)
  const versions = [...tools.names.values()].reduce((sum, of) => sum + of.length, 0)
  return [
    {
      name: 'btfhub_kernels',
      type: 'gauge',
      help: 'Kernels that the hub has.',
      samples: [...perKernel].map(([key, count]) => {
        const [distro = '', arch = ''] = key.split('\n')
        return [{ distro, arch }, count] as const
      }),
    },
    single('btfhub_tools', 'gauge', 'Tools that the hub has.', tools.names.size),
    single('btfhub_tool_versions', 'gauge', 'Versions of all tools.', versions),
  ]
}

/** A time rather than an age, as Prometheus' guide says: `time() - …` is the age whenever it is asked. */
function newestBuilds({ kernels }: Snapshot): Family[] {
  const newest = new Map<string, number>()
  for (const { builds } of kernels.entries) {
    for (const { provenance } of builds) {
      const seconds = Date.parse(provenance.createdAt) / 1000
      if (seconds > (newest.get(provenance.source) ?? 0)) newest.set(provenance.source, seconds)
    }
  }
  return [
    {
      name: 'btfhub_newest_build_timestamp_seconds',
      type: 'gauge',
      help: 'When the newest build of a source was taken in.',
      samples: [...newest].map(([source, seconds]) => [{ source }, seconds] as const),
    },
  ]
}

function recorded({ failures, blobs }: CatalogFacts): Family[] {
  const byCode = countBy(failures, ({ code }) => code)
  return [
    single('btfhub_blobs', 'gauge', 'Blobs that the catalog points at.', blobs),
    {
      name: 'btfhub_failures',
      type: 'gauge',
      help: 'Packages that gave no BTF, by the code of the error.',
      samples: [...byCode].map(([code, count]) => [{ code }, count] as const),
    },
  ]
}

function countBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1)
  return counts
}
