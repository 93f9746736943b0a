import type { MiddlewareHandler } from 'hono'
import { header } from './api.ts'
import { routeOf } from './middleware/count.ts'
import type { RateLimiter } from './rate-limit.ts'
import type { Env } from './sender.ts'

/** One request, as a line of the log has it. */
export interface AccessEntry {
  readonly method: string
  /** Path and query as they came, at most {@link MAX_URL}. */
  readonly url: string
  /** The route as its author wrote it; `hot` where the answer was in memory. */
  readonly route: string
  readonly status: number
  /** Of the body, as announced. */
  readonly bytes: number
  /** To the last byte of the answer, or to where the asker hung up. */
  readonly ms: number
  readonly client: string
  /** `Btfhub-Match` and `Btfhub-Kernel` of the answer. */
  readonly match?: string
  readonly kernel?: string
  /** True where the asker hung up before it had everything. */
  readonly aborted?: true
}

/** Takes the lines; must neither throw nor wait. */
export interface AccessLog {
  write(entry: AccessEntry): void
}

/** What is kept of a URL. */
const MAX_URL = 500

/** Logs each routed request when its answer is out. */
export function logAccess(log: AccessLog, limiter: RateLimiter): MiddlewareHandler<Env> {
  return async (c, next) => {
    const startedAt = performance.now()
    await next()
    const { incoming, outgoing } = c.env ?? {}
    const { headers, status } = c.res
    const entry = {
      method: c.req.method,
      url: (incoming?.url ?? c.req.path).slice(0, MAX_URL),
      route: routeOf(c),
      status,
      bytes: c.req.method === 'HEAD' ? 0 : Number(headers.get('content-length') ?? 0),
      client: limiter.clientOf(incoming),
      ...optional('match', headers.get(header.match)),
      ...optional('kernel', headers.get(header.kernel)),
    }
    const write = (): void => {
      const aborted = outgoing !== undefined && !outgoing.writableFinished
      log.write({ ...entry, ms: since(startedAt), ...(aborted && { aborted }) })
    }
    if (outgoing === undefined) write()
    else outgoing.once('close', write)
  }
}

/** A request that was answered from memory; it takes no time worth telling. */
export function hotEntry(method: string, url: string, bytes: number, client: string): AccessEntry {
  return { method, url: url.slice(0, MAX_URL), route: 'hot', status: 200, bytes, ms: 0, client }
}

/** Milliseconds since `startedAt`, to a tenth. */
function since(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 10) / 10
}

function optional<K extends string>(key: K, value: string | null): Partial<Record<K, string>> {
  return value === null ? {} : ({ [key]: value } as Record<K, string>)
}
