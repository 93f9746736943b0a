import PQueue from 'p-queue'
import { ClientError, HubConnection } from '../../client/index.ts'
import { isAbort } from '../../core/errors.ts'
import { HttpError } from '../../core/http.ts'
import type { HttpClient } from '../../core/http-client.ts'
import { limits } from '../../core/limits.ts'
import { type KernelFacts, type Supplier, type Supply, SupplyError } from '../../registry/index.ts'
import { StoreError } from '../../store/index.ts'
import { Background } from '../hub/background.ts'
import type { BringDeps, UpstreamDeps } from './deps.ts'
import { bringFromHub, byWord } from './from-hub.ts'
import { bySignature } from './from-index.ts'
import { bringFromTree } from './from-tree.ts'
import { upstreamGuard } from './guard.ts'

type Kind = 'hub' | 'tree'

/**
 * Another hub, or a tree in btfhub's layout, that is asked for what is not here; what it gives is kept. Which of the two
 * it is is found out by its `/openapi.json`. One that fails is left alone for a while.
 */
export class Upstream implements Supplier {
  readonly name: string
  readonly #url: URL
  readonly #deps: UpstreamDeps
  readonly #queue = new PQueue({ concurrency: limits.upstream.maxConcurrent })
  readonly #stop = new AbortController()
  readonly #background: Background
  readonly #bring: BringDeps
  #kind: Kind | null = null
  #ill: { readonly until: number; readonly err: SupplyError } | null = null

  constructor(url: string, deps: UpstreamDeps) {
    this.#url = new URL(url)
    // Without what could be a password, for metrics and logs.
    this.name = `upstream ${this.#url.host}${this.#url.pathname.replace(/\/+$/, '')}`
    this.#deps = deps
    this.#background = new Background(deps.log)
    this.#bring = {
      ...deps,
      onNew: (build) => this.#background.run('after a new build', deps.onBuild(build)),
    }
  }

  get queued(): number {
    return this.#queue.size + this.#queue.pending
  }

  async supply(facts: KernelFacts, via?: string): Promise<Supply> {
    if (this.#ill !== null && performance.now() < this.#ill.until) throw this.#ill.err
    if (this.#queue.size >= limits.upstream.maxWaiting) {
      throw new SupplyError('BUSY', `${this.queued} kernels are being fetched before this one`)
    }
    const timeout = AbortSignal.timeout(limits.upstream.totalTimeoutMs)
    const signal = AbortSignal.any([this.#stop.signal, timeout])
    try {
      return await this.#queue.add(() => this.#ask(facts, via, signal))
    } catch (err) {
      throw this.#asIll(err)
    }
  }

  async close(): Promise<void> {
    this.#stop.abort(new DOMException('the hub is stopping', 'AbortError'))
    await this.#queue.onIdle()
    await this.#background.settle()
  }

  async #ask(facts: KernelFacts, via: string | undefined, signal: AbortSignal): Promise<Supply> {
    signal.throwIfAborted()
    const guard = upstreamGuard(this.#url, this.#deps.proxies)
    const http = this.#deps.openHttp(guard)
    try {
      if (this.#deps.trust !== null) return await this.#askHub(facts, via, signal)
      this.#kind ??= await this.#findKind(http, signal)
      if (this.#kind === 'tree') return await bringFromTree(this.#url, http, facts, this.#bring, signal)
      return await this.#askHub(facts, via, signal)
    } finally {
      await http.close()
    }
  }

  async #askHub(facts: KernelFacts, via: string | undefined, signal: AbortSignal): Promise<Supply> {
    const { connectTimeoutMs, idleTimeoutMs } = limits.upstream
    const hub = new HubConnection(this.#url.href, {
      timeouts: {
        connectMs: connectTimeoutMs,
        headersMs: idleTimeoutMs * 2,
        bodyMs: idleTimeoutMs,
        tries: 2,
      },
      headers: { via: [...(via === undefined ? [] : [via]), `1.1 ${this.#deps.via}`].join(', ') },
    })
    try {
      const { trust } = this.#deps
      const says = trust === null ? byWord(hub, signal) : bySignature(hub, { ...trust, signal })
      return await bringFromHub(hub, says, facts, this.#bring, signal)
    } finally {
      await hub.close()
    }
  }

  async #findKind(http: HttpClient, signal: AbortSignal): Promise<Kind> {
    const url = `${this.#url.href.replace(/\/+$/, '')}/openapi.json`
    const document = await http.document(url, { signal, maxBytes: limits.upstream.maxJsonBytes })
    if (document === null || document === 'not-modified') return 'tree'
    try {
      const { info } = JSON.parse(Buffer.from(document.bytes).toString('utf8')) as {
        info?: { title?: unknown }
      }
      return info?.title === 'btfhub' ? 'hub' : 'tree'
    } catch {
      return 'tree'
    }
  }

  /**
   * What an asker is told names no host: the log has more. One bad file is no reason to leave an upstream alone, an
   * upstream that does not answer is. The store's own trouble is not the upstream's.
   */
  #asIll(err: unknown): unknown {
    if (err instanceof StoreError || (err instanceof SupplyError && err.code !== 'ILL')) return err
    const ill = new SupplyError('ILL', 'an upstream could not be asked', { cause: err })
    if (isSilent(err) && !this.#stop.signal.aborted) {
      this.#ill = { until: performance.now() + limits.upstream.restMs, err: ill }
    }
    return ill
  }
}

function isSilent(err: unknown): boolean {
  if (err instanceof HttpError) return err.code === 'ILL'
  return err instanceof ClientError ? err.code === 'UNAVAILABLE' : isAbort(err)
}
