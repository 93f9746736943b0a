import { join } from 'node:path'
import { type CrawlReport, runCrawl } from '../../cli/hub/crawl.ts'
import { type CrawlDeps } from '../../cli/hub/crawl-options.ts'
import { planCrawl, type PlannedPackage } from '../../cli/hub/plan-crawl.ts'
import { politeHosts } from '../../core/hosts.ts'
import { createHttp, hubUserAgent } from '../../core/http-client.ts'
import { silentLog } from '../../core/log.ts'
import { noProgress } from '../../core/progress.ts'
import { packageRoot } from '../../core/version.ts'
import { createSources, type IndexCache, loadSources, memoryIndexCache } from '../../crawler/index.ts'
import { TempSpace } from '../../extractor/index.ts'
import { withoutKeys, withoutSigning } from './lab.ts'
import { openTestStore, type TestStore } from '../helpers/store.ts'

export interface FleetCrawl {
  readonly distro: string
  readonly versions: readonly string[]
  /** Base URLs, in the order to try. */
  readonly mirrors: readonly string[]
  readonly release?: RegExp
  readonly jobs?: number
  /** How long silence is borne; long by default, as a busy machine is silent too. */
  readonly idleTimeoutMs?: number
  readonly modules?: boolean
}

/** A hub of its own that crawls test mirrors in this process, impatiently, at a time that the test chooses. */
export interface FleetHub {
  readonly store: TestStore
  /** What was read of each index: kept from crawl to crawl. */
  readonly cache: IndexCache
  /** Lets time pass. */
  laterByDays(days: number): void
  crawl(
    crawl: FleetCrawl,
  ): Promise<CrawlReport & { readonly requests: number; readonly planned: readonly PlannedPackage[] }>
  cleanUp(): Promise<void>
}

const DAY_MS = 24 * 3600_000

/** With a `keyring`, a file, what has to be signed has to be signed with a key in it; else nothing has to be. */
export async function openFleetHub(keyring: string | null = null): Promise<FleetHub> {
  const store = await openTestStore()
  const cache = memoryIndexCache()
  const files = (await loadSources(join(packageRoot, 'data/sources')))
    .map(withoutKeys)
    .map((file) => (keyring === null ? withoutSigning(file) : file))
  let aheadMs = 0
  const now = (): Date => new Date(Date.now() + aheadMs)
  return {
    store,
    cache,
    laterByDays: (days) => void (aheadMs += days * DAY_MS),
    async crawl({ distro, versions, mirrors, release = null, jobs = 2, modules = false, ...patience }) {
      const { idleTimeoutMs = 30_000 } = patience
      const http = createHttp({
        userAgent: hubUserAgent('https://example.org'),
        hosts: politeHosts,
        log: silentLog,
        env: {},
        bounds: { tries: 2, backoffBaseMs: 5, backoffMaxMs: 10, idleTimeoutMs, maxRedirects: 3 },
      })
      const source = files.filter(({ id }) => id === distro)
      const arches = ['x86_64'] as const
      // No keys and no mirrors of the machine that runs the tests.
      const places = { keysDir: store.dataDir, aptRoot: store.dataDir, tempDir: store.tempDir }
      const keys = keyring === null ? {} : { keyFiles: [keyring] }
      const deps: CrawlDeps = {
        http,
        catalog: store.catalog,
        blobs: store.blobs,
        tempDir: store.tempDir,
        tempSpace: new TempSpace(store.tempDir),
        log: silentLog,
        now,
        sources: createSources(source, { ...places, ...keys, now }),
        context: { http, cache, log: silentLog, signal: new AbortController().signal },
        progress: noProgress,
        onBuild: () => Promise.resolve(),
      }
      const options = {
        scope: { versions, arches, mirrors },
        arches,
        release,
        newest: null,
        limit: null,
        jobs,
        paholeJobs: 1,
        forceDwarf: false,
        verify: true,
        modules,
        retryFailed: false,
      }
      try {
        const plan = await planCrawl(options, deps)
        const report = await runCrawl(plan, options, deps)
        return { ...report, requests: http.stats().requests, planned: plan.packages }
      } finally {
        await http.close()
      }
    },
    cleanUp: () => store.cleanUp(),
  }
}
