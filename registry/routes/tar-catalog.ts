import { Hono } from 'hono'
import type { Hub } from '../hub.ts'
import { formatTarTree } from '../tar-catalog.ts'
import type { Env } from '../sender.ts'

/**
 * `/catalog.json`, also below `/btfs/`: the sha256 of each kernel's `/btfs/….btf.tar.xz` as Datadog's agents read it
 * (DataDog/btfhub pkg/catalog). `Btfhub-Pending` says how many kernels it does not have yet.
 */
export function tarCatalogRoutes(hub: Hub): Hono<Env> {
  const app = new Hono<Env>()
  for (const path of ['/catalog.json', '/btfs/catalog.json']) {
    app.get(path, async (c) => {
      const { tree, pending } = await hub.tarCatalog.get()
      return c.body(formatTarTree(tree), 200, {
        'Content-Type': 'application/json',
        'Cache-Control': 'no-cache',
        'X-Content-Type-Options': 'nosniff',
        'Btfhub-Pending': String(pending),
      })
    })
  }
  return app
}
