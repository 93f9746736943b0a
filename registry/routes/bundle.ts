import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { z } from 'zod'
import { BundleQuery } from '../api.ts'
import { findTool } from '../find.ts'
import type { Hub } from '../hub.ts'
import { wantedBuilds } from '../kernel-filter.ts'
import { makeBundle } from '../make-bundle.ts'
import { sendBundle } from '../send-bundle.ts'
import type { Env } from '../sender.ts'
import { bytes, describedRoutes, problems } from './open-api.ts'

const getBundle = createRoute({
  method: 'get',
  path: '/v1/tools/{tool}/bundle',
  summary: 'All min BTF of a tool as one file, for embedding.',
  request: { params: z.object({ tool: z.string().max(1024) }), query: BundleQuery },
  responses: {
    200: {
      description: 'The bundle. Btfhub-Left-Out says how many names are not in it, see docs/bundles.md.',
      content: bytes,
    },
    ...problems,
  },
})

/** `GET /v1/tools/{tool}/bundle?layout=…`. */
export function bundleRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes().openapi(getBundle, async (c) => {
    const { layout, ...filter } = c.req.valid('query')
    const spec = c.req.valid('param').tool
    const known = await hub.snapshots.get()
    const snapshot = known.tools.find(spec) === null ? await hub.snapshots.refresh() : known
    const tool = findTool(snapshot, spec)
    const key = JSON.stringify(['bundle', tool.id, layout, filter])
    const bundle = await hub.bundles.get(key, snapshot.generation, (job) =>
      makeBundle(
        layout,
        wantedBuilds(snapshot.kernels, filter),
        (btf) => hub.minBtfs.get(tool, btf),
        // One at a time: what is lacking is made in turn with what others ask for.
        { concurrency: 1, skipUnfit: true },
        job,
      ),
    )
    return sendBundle(hub, c, bundle, `${tool.name}-${tool.version}-${layout}`)
  })
}
