import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { z } from 'zod'
import { BtfQuery, MinQuery } from '../api.ts'
import { find } from '../find.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { btfAnswer } from './btf-answer.ts'
import { bytes, describedRoutes, problems } from './open-api.ts'

const found = {
  description:
    'The bytes. Btfhub-Kernel, Btfhub-Match, Btfhub-Origin, Btfhub-Digest and, of a guess, Btfhub-Predicted-From ' +
    'say what they are; ETag, ' +
    'Last-Modified, Repr-Digest, ranges and conditions as HTTP has them.',
  content: bytes,
}
const release = z.string().max(1024).meta({ description: '`uname -r`.' })

const getBtf = createRoute({
  method: 'get',
  path: '/v1/btf/{release}',
  summary: 'The full BTF of the one build that matches, or with `tool` its min BTF.',
  request: { params: z.object({ release }), query: BtfQuery },
  responses: { 200: found, ...problems },
})

const getMin = createRoute({
  method: 'get',
  path: '/v1/min/{tool}/{release}',
  summary: 'The min BTF of a tool for the one build that matches; made now where it was not.',
  request: { params: z.object({ release, tool: BtfQuery.shape.tool.unwrap() }), query: MinQuery },
  responses: { 200: found, ...problems },
})

/** `/v1/btf/{release}` and `/v1/min/{tool}/{release}`. */
export function btfRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes()
    .openapi(getBtf, async (c) => {
      const { format = 'raw', tool, like, predict, ...facts } = c.req.valid('query')
      const kernel = { ...facts, release: c.req.valid('param').release, like: like === '1' }
      const btf = await find(hub, { kernel, tool, predict: predict === '1', assumedArch: 'x86_64' })
      return hub.sender.send(c, await btfAnswer(hub, btf, format))
    })
    .openapi(getMin, async (c) => {
      const { format = 'raw', like, predict, ...facts } = c.req.valid('query')
      const { release, tool } = c.req.valid('param')
      const kernel = { ...facts, release, like: like === '1' }
      const btf = await find(hub, { kernel, tool, predict: predict === '1', assumedArch: 'x86_64' })
      return hub.sender.send(c, await btfAnswer(hub, btf, format))
    })
}
