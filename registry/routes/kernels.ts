import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { z } from 'zod'
import { makeKernel } from '../../core/kernel.ts'
import type { KernelEntry } from '../../core/resolve/kernel-index.ts'
import type { Build } from '../../store/types.ts'
import { KernelDetail, KernelPage, KernelsQuery } from '../api.ts'
import type { BuildModules } from '../../store/types.ts'
import { RegistryError } from '../errors.ts'
import type { Hub } from '../hub.ts'
import { kernelFilter } from '../kernel-filter.ts'
import type { Env } from '../sender.ts'
import { toKernelDetail, toKernelSummary } from '../wire.ts'
import { describedRoutes, problems } from './open-api.ts'

const listKernels = createRoute({
  method: 'get',
  path: '/v1/kernels',
  summary: 'The kernels that the hub has, in pages.',
  request: { query: KernelsQuery },
  responses: {
    200: { description: 'A page.', content: { 'application/json': { schema: KernelPage } } },
    ...problems,
  },
})

const part = z.string().max(1024)
const getKernel = createRoute({
  method: 'get',
  path: '/v1/kernels/{distro}/{version}/{arch}/{release}',
  summary: 'One kernel with its builds and where each comes from.',
  request: { params: z.object({ distro: part, version: part, arch: part, release: part }) },
  responses: {
    200: { description: 'The kernel.', content: { 'application/json': { schema: KernelDetail } } },
    ...problems,
  },
})

const PAGE_SIZE = 100

/** `/v1/kernels` and one kernel. */
export function kernelRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes()
    .openapi(listKernels, async (c) => {
      const { limit = PAGE_SIZE, cursor, ...filter } = c.req.valid('query')
      const { kernels } = await hub.snapshots.get()
      const matches = filterOf(filter)
      const page: KernelEntry<Build>[] = []
      for (const entry of kernels.after(cursor === undefined ? null : decodeCursor(cursor))) {
        if (!matches(entry)) continue
        if (page.length === limit)
          return c.json(toPage(page, encodeCursor(page[limit - 1] as KernelEntry<Build>)), 200)
        page.push(entry)
      }
      return c.json(toPage(page, null), 200)
    })
    .openapi(getKernel, async (c) => {
      const { distro, version, arch, release } = c.req.valid('param')
      const kernel = makeKernel(distro, version, arch, release)
      const known = await hub.snapshots.get()
      const entry = known.kernels.kernel(kernel) ?? (await hub.snapshots.refresh()).kernels.kernel(kernel)
      if (entry !== null) return c.json(toKernelDetail(entry, await modulesOf(hub, entry)), 200)
      throw new RegistryError('NOT_FOUND', `no kernel ${distro}/${version}/${arch}/${release}`, {
        facts: { nearest: known.kernels.nearest(kernel.release, 5) },
      })
    })
}

/** The modules of the builds that have them. */
async function modulesOf(hub: Hub, entry: KernelEntry<Build>): Promise<ReadonlyMap<number, BuildModules>> {
  const known = new Map<number, BuildModules>()
  for (const { id } of entry.builds) {
    const modules = await hub.catalog.modules(id)
    if (modules !== null) known.set(id, modules)
  }
  return known
}

function toPage(page: readonly KernelEntry<Build>[], next: string | null): KernelPage {
  return { kernels: page.map(toKernelSummary), next_cursor: next }
}

function filterOf(query: KernelsQuery): (entry: KernelEntry<Build>) => boolean {
  const isWanted = kernelFilter(query)
  const release = query.release?.replaceAll(' ', '+')
  const q = query.q?.replaceAll(' ', '+')
  return ({ kernel, builds }) =>
    isWanted(kernel) &&
    (release === undefined || kernel.release === release) &&
    (q === undefined || kernel.release.includes(q)) &&
    (query.origin === undefined || builds.some((build) => build.provenance.origin === query.origin))
}

/** Cursors are the last key of a page, opaque so that nobody builds one. */
function encodeCursor(entry: KernelEntry<Build>): string {
  return Buffer.from(entry.key).toString('base64url')
}

function decodeCursor(text: string): string {
  const key = Buffer.from(text, 'base64url').toString()
  if (/^[-\w+/=]+$/.test(text) && key.split('/').length === 4) return key
  throw new RegistryError('BAD_REQUEST', 'cursor: expected one that a page gave')
}
