import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { z } from 'zod'
import { ToolDetail, ToolList } from '../api.ts'
import { RegistryError } from '../errors.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { toTool } from '../wire.ts'
import { describedRoutes, problems } from './open-api.ts'

const listTools = createRoute({
  method: 'get',
  path: '/v1/tools',
  summary: 'The tools that the hub has min BTF for, all versions.',
  responses: {
    200: { description: 'All tools.', content: { 'application/json': { schema: ToolList } } },
    ...problems,
  },
})

const getTool = createRoute({
  method: 'get',
  path: '/v1/tools/{tool}',
  summary: 'One tool with its versions; with NAME@VERSION only that one.',
  request: { params: z.object({ tool: z.string().max(1024) }) },
  responses: {
    200: { description: 'The tool.', content: { 'application/json': { schema: ToolDetail } } },
    ...problems,
  },
})

/** `/v1/tools` and one tool. */
export function toolRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes()
    .openapi(listTools, async (c) => {
      const { tools } = await hub.snapshots.get()
      return c.json({ tools: [...tools.names.values()].flat().map(toTool) }, 200)
    })
    .openapi(getTool, async (c) => {
      const spec = c.req.valid('param').tool
      const known = await hub.snapshots.get()
      const { tools } = known.tools.find(spec) === null ? await hub.snapshots.refresh() : known
      const tool = tools.find(spec)
      if (tool === null) throw new RegistryError('NOT_FOUND', `no tool ${JSON.stringify(spec)}`)
      const versions = spec === tool.name ? (tools.names.get(tool.name) ?? []) : [tool]
      return c.json({ name: tool.name, versions: versions.map(toTool) }, 200)
    })
}
