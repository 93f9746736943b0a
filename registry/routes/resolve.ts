import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { type Kernel, ResolveAnswer, ResolveRequest } from '../api.ts'
import { find } from '../find.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { formatTool } from '../tool-index.ts'
import { toBlob, toBuild } from '../wire.ts'
import { describedRoutes, problems } from './open-api.ts'

const postResolve = createRoute({
  method: 'post',
  path: '/v1/resolve',
  summary: 'Which build a kernel is, from whatever is known of it, and what to fetch.',
  request: { body: { content: { 'application/json': { schema: ResolveRequest } }, required: true } },
  responses: {
    200: { description: 'The build.', content: { 'application/json': { schema: ResolveAnswer } } },
    ...problems,
  },
})

/** `POST /v1/resolve`. No architecture is assumed: who asks here can say it. */
export function resolveRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes().openapi(postResolve, async (c) => {
    const { tool: toolSpec, predict, variant, module, compat, ...kernel } = c.req.valid('json')
    const { match, build, btf, base, tool, predictedFrom } = await find(hub, {
      kernel,
      tool: toolSpec,
      predict,
      ...{ variant, module, compat },
      via: c.req.header('via'),
    })
    return c.json(
      {
        match,
        build: toBuild(build),
        btf: toBlob(btf),
        base: base === null ? null : toBlob(base),
        tool: tool === null ? null : formatTool(tool),
        ...(predictedFrom === undefined
          ? {}
          : { predicted_from: [{ ...predictedFrom[0] }, { ...predictedFrom[1] }] as [Kernel, Kernel] }),
      },
      200,
    )
  })
}
