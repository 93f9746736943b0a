import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { type BundleQuery, MinimizeQuery } from '../api.ts'
import { cutUpload } from '../cut-upload.ts'
import { RegistryError } from '../errors.ts'
import type { Hub } from '../hub.ts'
import { wantedBuilds } from '../kernel-filter.ts'
import { makeBundle } from '../make-bundle.ts'
import { toObjectSet } from '../object-mins.ts'
import { sendBundle } from '../send-bundle.ts'
import type { Env } from '../sender.ts'
import { readObjects } from '../uploads.ts'
import { bytes, describedRoutes, objectsBody, problems } from './open-api.ts'

const postMinimize = createRoute({
  method: 'post',
  path: '/v1/minimize',
  summary:
    'The min BTF of the BPF objects in the body for the one build that matches, or with `all` a bundle of it for all ' +
    'kernels; nothing is stored.',
  request: { query: MinimizeQuery, body: objectsBody },
  responses: { 200: { description: 'The bytes.', content: bytes }, ...problems },
})

/** `POST /v1/minimize?release=…` and `POST /v1/minimize?all=1&layout=…`. */
export function minimizeRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes().openapi(postMinimize, async (c) => {
    const { all, layout, ...one } = c.req.valid('query')
    if (all === '1') return minimizeAll(hub, c, bundleQuery(c.req.valid('query')))
    if (layout !== undefined) throw new RegistryError('BAD_REQUEST', 'layout: only with all=1')
    const { format = 'raw', like, variant, module, compat, ...facts } = one
    const kernel = { ...facts, like: like === '1' }
    return cutUpload(hub, c, { kernel, assumedArch: 'x86_64', variant, module, compat }, format)
  })
}

function bundleQuery({ all: _all, layout, distro, version, arch, ...rest }: MinimizeQuery): BundleQuery {
  const [other] = Object.keys(rest)
  if (other !== undefined) throw new RegistryError('BAD_REQUEST', `${other}: not with all=1`)
  if (layout === undefined) throw new RegistryError('BAD_REQUEST', 'all=1: expected a layout')
  return {
    layout,
    ...(distro === undefined ? {} : { distro }),
    ...(version === undefined ? {} : { version }),
    ...(arch === undefined ? {} : { arch }),
  }
}

async function minimizeAll(hub: Hub, c: Context<Env>, { layout, ...filter }: BundleQuery): Promise<Response> {
  const set = toObjectSet(await readObjects(c))
  const { generation, kernels } = await hub.snapshots.get()
  const key = JSON.stringify(['minimize', set.key, layout, filter])
  const bundle = await hub.bundles.get(key, generation, (job) =>
    makeBundle(
      layout,
      wantedBuilds(kernels, filter),
      (btf) => hub.objectMins.get(set, btf),
      { concurrency: hub.objectMins.concurrency, skipUnfit: false },
      job,
    ),
  )
  const response = await sendBundle(hub, c, bundle, `min-${layout}`)
  response.headers.set('Cache-Control', 'no-store')
  return response
}
