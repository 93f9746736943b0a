import { limits } from '../core/limits.ts'
import { RecentCache } from '../core/recent-cache.ts'
import { clientAddress, clientKey, type ProxyTrust } from './client-address.ts'
import type { Env } from './sender.ts'
import type { Context, MiddlewareHandler } from 'hono'
import { RegistryError } from './errors.ts'
import type { Metrics } from './metrics.ts'

export interface RateLimits {
  /** Requests a second of one client; 0 for no limit. */
  readonly perSecond: number
  /** The same for requests that make the hub compute or fetch. */
  readonly workPerSecond: number
  readonly trust: ProxyTrust
}

export const noRateLimits: RateLimits = { perSecond: 0, workPerSecond: 0, trust: { hops: 0 } }

/** A bucket holds what its rate gives in so many seconds: who was quiet may ask for much at once. */
const BURST_SECONDS = 10

interface Bucket {
  tokens: number
  /** `performance.now()` when `tokens` was right. */
  at: number
}

/** A token bucket for each client, of which those are forgotten that were not seen lately: they start full again. */
export class TokenBuckets {
  readonly #perSecond: number
  readonly #now: () => number
  readonly #buckets = new RecentCache<Bucket>(limits.request.maxClients)

  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond
    this.#now = now
  }

  /** Takes a token; 0, or after how many whole seconds there will be one. */
  take(client: string): number {
    if (this.#perSecond === 0) return 0
    const capacity = Math.max(1, this.#perSecond * BURST_SECONDS)
    const now = this.#now()
    const bucket = this.#buckets.get(client)
    if (bucket === undefined) {
      this.#buckets.set(client, { tokens: capacity - 1, at: now }, 1)
      return 0
    }
    bucket.tokens = Math.min(capacity, bucket.tokens + ((now - bucket.at) / 1000) * this.#perSecond)
    bucket.at = now
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / this.#perSecond)
    bucket.tokens--
    return 0
  }
}

/** How much each client may ask. */
export class RateLimiter {
  readonly isOn: boolean
  readonly #trust: ProxyTrust
  readonly #all: TokenBuckets
  readonly #work: TokenBuckets

  constructor(rates: RateLimits) {
    this.isOn = rates.perSecond > 0 || rates.workPerSecond > 0
    this.#trust = rates.trust
    this.#all = new TokenBuckets(rates.perSecond)
    this.#work = new TokenBuckets(rates.workPerSecond)
  }

  /** Who asks, for logs. */
  clientOf(incoming: Parameters<typeof clientAddress>[0]): string {
    return clientAddress(incoming, this.#trust)
  }

  /** Counts a request that is answered from memory; false where it is one too many. */
  admitsHot(incoming: Parameters<typeof clientAddress>[0]): boolean {
    return !this.isOn || this.#all.take(clientKey(this.clientOf(incoming))) === 0
  }

  /** Counts any other; after how many seconds to come again, or 0. */
  waitFor(c: Context<Env>): number {
    if (!this.isOn || isProbe(c.req.path)) return 0
    const client = clientKey(this.clientOf(c.env?.incoming))
    const wait = this.#all.take(client)
    return wait > 0 || !isWork(c.req.method, c.req.path) ? wait : this.#work.take(client)
  }
}

/** Refuses requests beyond the rates. Throws RegistryError `RATE_LIMITED`. */
export function limitRate(limiter: RateLimiter, metrics: Metrics): MiddlewareHandler<Env> {
  return (c, next) => {
    const seconds = limiter.waitFor(c)
    if (seconds === 0) return next()
    metrics.rateLimited++
    throw new RegistryError('RATE_LIMITED', 'too many requests from this address', {
      headers: { 'Retry-After': String(seconds) },
    })
  }
}

/** Who watches the hub is answered whatever else comes from there. */
function isProbe(path: string): boolean {
  return path === '/healthz' || path === '/readyz'
}

/** Requests whose answer is computed from what they send, or from all kernels. */
function isWork(method: string, path: string): boolean {
  if (method !== 'GET' && method !== 'HEAD') return path !== '/v1/resolve'
  return /^\/v1\/(?:types\/|tools\/[^/]+\/bundle$|kernels\/.*\/(?:types\/[^/]+|vmlinux\.h)$)/.test(path)
}
