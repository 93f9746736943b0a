import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { MinimizeQuery } from '../api.ts'
import { cutUpload } from '../cut-upload.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { bytes, describedRoutes, problems } from './open-api.ts'

const postMinimize = createRoute({
  method: 'post',
  path: '/v1/minimize',
  summary: 'The min BTF of the BPF objects in the body for the one build that matches; nothing is stored.',
  request: {
    query: MinimizeQuery,
    body: {
      required: true,
      content: {
        'multipart/form-data': {
          schema: {
            type: 'object',
            required: ['object'],
            properties: { object: { type: 'array', items: { type: 'string', format: 'binary' } } },
          },
        },
      },
    },
  },
  responses: { 200: { description: 'The bytes.', content: bytes }, ...problems },
})

/** `POST /v1/minimize?release=…`. */
export function minimizeRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes().openapi(postMinimize, async (c) => {
    const { format = 'raw', like, ...facts } = c.req.valid('query')
    const kernel = { ...facts, like: like === '1' }
    return cutUpload(hub, c, { kernel, assumedArch: 'x86_64' }, format)
  })
}
