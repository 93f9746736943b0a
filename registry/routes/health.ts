import { Hono } from 'hono'
import { describeError } from '../../core/errors.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'

/** `/healthz`, and `/monitoring/health` as btfhub-online had it: the process answers. `/readyz`: it can say what is there, and wants to be asked. */
export function healthRoutes(hub: Hub): Hono<Env> {
  return new Hono<Env>()
    .get('/healthz', (c) => c.text('ok\n'))
    .get('/monitoring/health', (c) => c.text('ok\n'))
    .get('/readyz', async (c) => {
      const reason = await whyNotReady(hub)
      return reason === null ? c.text('ready\n') : c.text(`not ready: ${reason}\n`, 503)
    })
}

async function whyNotReady(hub: Hub): Promise<string | null> {
  if (hub.draining) return 'shutting down'
  try {
    const { kernels } = await hub.snapshots.refresh()
    // The first byte of a blob that the catalog names: a disk that is gone says so there.
    const digest = kernels.entries[0]?.builds[0]?.btf.digest
    if (digest !== undefined) (await hub.blobs.open(digest, { start: 0, end: 1 })).resume()
    return null
  } catch (err) {
    return describeError(err)
  }
}
