import type { Arch } from '../../core/kernel.ts'
import type { Http } from '../../core/http.ts'
import type { Progress } from '../../core/progress.ts'
import type { CrawlContext, CrawlScope, Source } from '../../crawler/index.ts'
import type { Build } from '../../store/index.ts'
import type { IngestDeps } from './ingest.ts'

/** What a crawl was asked for. */
export interface CrawlOptions {
  readonly scope: CrawlScope
  readonly arches: readonly Arch[]
  readonly release: RegExp | null
  /** Newest builds per series, flavour and arch; null for all. */
  readonly newest: number | null
  /** Only builds of that time or later. */
  readonly since?: Date
  /** Packages to ingest in this run; null for all. */
  readonly limit: number | null
  readonly jobs: number
  readonly paholeJobs: number
  readonly forceDwarf: boolean
  readonly verify: boolean
  /** Take in the modules of each kernel too, also of those that are known without. */
  readonly modules?: boolean
  readonly retryFailed: boolean
}

/** What a crawl works with. */
export interface CrawlDeps extends IngestDeps {
  readonly sources: readonly Source[]
  readonly context: CrawlContext
  /** The client for one source, where what each costs is counted; `context.http` for all by default. */
  readonly httpFor?: (source: string) => Http
  readonly progress: Progress
  /** Told of each build as it lands, before the next is begun: min BTF for the tools is made here. */
  readonly onBuild: (build: Build) => Promise<void>
}

/** What a source is read with: its requests are counted apart where somebody wants that. */
export function contextOf(
  source: string,
  { context, httpFor }: Pick<CrawlDeps, 'context' | 'httpFor'>,
): CrawlContext {
  return httpFor === undefined ? context : { ...context, http: httpFor(source) }
}
