import type { HttpClient, HttpGuard } from '../../core/http-client.ts'
import type { Kernel } from '../../core/kernel.ts'
import type { Log } from '../../core/log.ts'
import { extract, type Extracted } from '../../extractor/index.ts'
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
  /** What this hub calls itself in `Via`. */
  readonly via: string
}

/** The same while one kernel is fetched. */
export interface BringDeps extends Pick<UpstreamDeps, 'store' | 'log' | 'now'> {
  readonly onNew: (build: Build) => void
}

/** The BTF in bytes of whatever form, validated like any other. Throws ExtractError. */
export async function extractBytes(
  name: string,
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
  kernel: Kernel,
  deps: Pick<UpstreamDeps, 'store' | 'log'>,
  signal: AbortSignal,
): Promise<Extracted> {
  return extract(
    { name, bytes: bytes instanceof Uint8Array ? once(bytes) : bytes },
    {
      release: kernel.release,
      forceDwarf: false,
      readToEnd: true,
      tempDir: deps.store.tempDir,
      jobs: 1,
      signal,
      log: deps.log,
    },
  )
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}
