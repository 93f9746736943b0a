import { Hono } from 'hono'
import { find } from '../find.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { btfAnswer } from './btf-answer.ts'

/** debuginfod(8)'s path of a section: `debuginfod-find section BUILDID .BTF` gets the BTF of a build. */
export function debuginfodRoutes(hub: Hub): Hono<Env> {
  return new Hono<Env>().get('/buildid/:id/section/.BTF', async (c) => {
    const found = await find(hub, { kernel: { build_id: c.req.param('id') } })
    return hub.sender.send(c, await btfAnswer(hub, found, 'raw'))
  })
}
