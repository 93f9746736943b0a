import type { IndexTrust } from '../../client/index.ts'
import type { HttpClient, HttpGuard } from '../../core/http-client.ts'
import type { Log } from '../../core/log.ts'
import type { Build, Store } from '../../store/index.ts'

/** What fetching from elsewhere needs. */
export interface UpstreamDeps {
  readonly store: Pick<Store, 'catalog' | 'blobs' | 'tempDir'>
  /** A client that has learnt nothing about ill hosts yet, and goes only where the guard lets it; its user closes it. */
  readonly openHttp: (guard: HttpGuard) => HttpClient
  /** Proxies are asked for names, not resolved themselves. */
  readonly proxies: ReadonlySet<string>
  readonly log: Log
  readonly now: () => Date
  /** Told of each new build; nobody waits for it. */
  readonly onBuild: (build: Build) => Promise<void>
  /** Whose signed indexes are believed, and nothing else then; null where a hub is believed by its word. */
  readonly trust: Omit<IndexTrust, 'now'> | null
  /** What this hub calls itself in `Via`. */
  readonly via: string
}

/** The same while one kernel is fetched. */
export interface BringDeps extends Pick<UpstreamDeps, 'store' | 'log' | 'now'> {
  readonly onNew: (build: Build) => void
}
