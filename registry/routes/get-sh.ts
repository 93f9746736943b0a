import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Hono } from 'hono'
import { packageRoot } from '../../core/version.ts'
import type { Hub } from '../hub.ts'
import { publicUrlOf } from '../public-url.ts'
import type { Env } from '../sender.ts'

/** What the script has where this hub's URL goes, with its quotes. */
const PLACEHOLDER = "'@HUB@'"

/** `/get.sh`: a client for hosts with only curl or wget, knowing this hub. Not cached: it depends on who asks how. */
export function getShRoutes(hub: Hub): Hono<Env> {
  const script = readFileSync(join(packageRoot, 'registry', 'get.sh'), 'utf8')
  return new Hono<Env>().get('/get.sh', (c) => {
    const text = script.replace(PLACEHOLDER, () => shellQuote(publicUrlOf(c, hub.publicUrl)))
    return c.body(text, 200, {
      'Content-Type': 'text/x-shellscript; charset=utf-8',
      'Content-Length': String(Buffer.byteLength(text)),
      'Cache-Control': 'private, no-store',
      'X-Content-Type-Options': 'nosniff',
    })
  })
}

/** A string as one word of a POSIX shell. */
function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
