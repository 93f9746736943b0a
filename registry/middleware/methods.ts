import type { Context, Hono } from 'hono'
import { RegistryError } from '../errors.ts'
import type { Env } from '../sender.ts'

const METHODS = ['GET', 'POST', 'PUT', 'DELETE'] as const

/** For a request that no route took: 405 with `Allow` where the path exists for other methods, else 404. */
export function noRoute(app: Hono<Env>, c: Context<Env>): RegistryError {
  const allowed = METHODS.filter((method) =>
    app.router
      .match(method, c.req.path)[0]
      .some(
        ([[, route]]: readonly [readonly [unknown, { readonly method: string }], unknown]) =>
          route.method === method,
      ),
  )
  if (allowed.length === 0) {
    return new RegistryError('NO_ROUTE', `nothing is at ${c.req.path}; / says what there is`)
  }
  const allow = allowed.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ')
  return new RegistryError('METHOD_NOT_ALLOWED', `${c.req.method}: expected ${allow}`, {
    headers: { Allow: allow },
  })
}
