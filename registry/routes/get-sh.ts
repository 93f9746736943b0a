import { Hono } from 'hono'
import { readGetScript } from '../get-script.ts'
import type { Hub } from '../hub.ts'
import { publicUrlOf } from '../public-url.ts'
import type { Env } from '../sender.ts'

/** `/get.sh`: a client for hosts with only curl or wget, knowing this hub. Not cached: it depends on who asks how. */
export function getShRoutes(hub: Hub): Hono<Env> {
  const scriptFor = readGetScript()
  return new Hono<Env>().get('/get.sh', (c) => {
    const text = scriptFor(publicUrlOf(c, hub.publicUrl))
    return c.body(text, 200, {
      'Content-Type': 'text/x-shellscript; charset=utf-8',
      'Content-Length': String(Buffer.byteLength(text)),
      'Cache-Control': 'private, no-store',
      'X-Content-Type-Options': 'nosniff',
    })
  })
}
