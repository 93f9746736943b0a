import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { z } from 'zod'
import { BtfQuery, type Format, MinQuery } from '../api.ts'
import { find, type Wanted } from '../find.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { btfAnswer } from './btf-answer.ts'
import { bytes, describedRoutes, problems } from './open-api.ts'

const found = {
  description:
    'The bytes. Btfhub-Kernel, Btfhub-Match, Btfhub-Origin, Btfhub-Digest, of modules Btfhub-Variant, Btfhub-Module ' +
    'and Btfhub-Base, of what was lowered Btfhub-Compat, and of a guess Btfhub-Predicted-From say what they are; ETag, ' +
    'Last-Modified, Repr-Digest, ranges and conditions as HTTP has them.',
  content: bytes,
}
const release = z.string().max(1024).meta({ description: '`uname -r`.' })

const getBtf = createRoute({
  method: 'get',
  path: '/v1/btf/{release}',
  summary:
    'The BTF of the one build that matches, with its modules or one of them, or with `tool` its min BTF.',
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
      const { tool, ...query } = c.req.valid('query')
      const { format, ...wanted } = wantedBy(query, c.req.valid('param').release)
      const btf = await find(hub, { ...wanted, tool })
      return hub.sender.send(c, await btfAnswer(hub, btf, format))
    })
    .openapi(getMin, async (c) => {
      const { release, tool } = c.req.valid('param')
      const { format, ...wanted } = wantedBy(c.req.valid('query'), release)
      const btf = await find(hub, { ...wanted, tool })
      return hub.sender.send(c, await btfAnswer(hub, btf, format))
    })
}

/** What a query string asks for, with the release of the path. */
function wantedBy(
  { format = 'raw', like, predict, variant, module, compat, ...facts }: MinQuery,
  release: string,
): Wanted & { readonly format: Format } {
  return {
    format,
    kernel: { ...facts, release, like: like === '1' },
    assumedArch: 'x86_64',
    predict: predict === '1',
    variant,
    module,
    compat,
  }
}
