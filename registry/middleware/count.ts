import type { Context, MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import type { Metrics } from '../metrics.ts'
import type { Env } from '../sender.ts'

/** Counts every routed request by route and status, and the bytes that its answer announces. */
export function countRequests(metrics: Metrics): MiddlewareHandler<Env> {
  return async (c, next) => {
    await next()
    metrics.count(metrics.requests, routeOf(c), String(c.res.status))
    if (c.req.method !== 'HEAD') metrics.bodyBytes += Number(c.res.headers.get('content-length') ?? 0)
  }
}

/** The route that took a request, as its author wrote it; `none` where no route did. */
export function routeOf(c: Context<Env>): string {
  const route = matchedRoutes(c).findLast(({ method }) => method !== 'ALL')?.path
  return route === undefined ? 'none' : plainRoute(route)
}

/** `/:arch/:file{…}` without the pattern. */
function plainRoute(route: string): string {
  return route.replace(/\{.*\}/, '')
}
