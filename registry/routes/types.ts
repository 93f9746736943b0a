import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { z } from 'zod'
import { parseArch, parseDistro, parseVersion } from '../../core/kernel.ts'
import { KernelType, TypeOverKernels, TypesQuery } from '../api.ts'
import { RegistryError } from '../errors.ts'
import { find, type Found } from '../find.ts'
import type { Hub } from '../hub.ts'
import { parseTypeName } from '../kernel-types.ts'
import type { Env } from '../sender.ts'
import { answerWith } from './btf-answer.ts'
import { describedRoutes, problems } from './open-api.ts'

const part = z.string().max(1024)
const kernel = { distro: part, version: part, arch: part, release: part }
const build_id = z.string().max(130).optional().meta({ description: 'Which build, where there are several.' })

const getHeader = createRoute({
  method: 'get',
  path: '/v1/kernels/{distro}/{version}/{arch}/{release}/vmlinux.h',
  summary: "All of a kernel's types as a C header, for BPF programs to be compiled with.",
  request: { params: z.object(kernel), query: z.strictObject({ build_id }) },
  responses: {
    200: { description: 'The header.', content: { 'text/x-c': { schema: { type: 'string' } } } },
    ...problems,
  },
})

const getType = createRoute({
  method: 'get',
  path: '/v1/kernels/{distro}/{version}/{arch}/{release}/types/{name}',
  summary: 'One type of a kernel, with the offset and size of each member.',
  request: {
    params: z.object({ ...kernel, name: part }),
    query: z.strictObject({ build_id, format: z.enum(['json', 'c']).optional() }),
  },
  responses: {
    200: {
      description: 'The type.',
      content: { 'application/json': { schema: KernelType }, 'text/x-c': { schema: { type: 'string' } } },
    },
    ...problems,
  },
})

const getTypeOverKernels = createRoute({
  method: 'get',
  path: '/v1/types/{name}',
  summary: 'One type over all kernels, those with the same layout together.',
  request: { params: z.object({ name: part }), query: TypesQuery },
  responses: {
    200: { description: 'The layouts.', content: { 'application/json': { schema: TypeOverKernels } } },
    ...problems,
  },
})

const C_TYPE = 'text/x-c; charset=utf-8'

/** Types of kernels: a header, one type, one type over all kernels. */
export function typeRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes()
    .openapi(getHeader, async (c) => {
      const found = await find(hub, { kernel: { ...c.req.valid('param'), ...c.req.valid('query') } })
      const content = await hub.types.header(found.build.btf.digest)
      const answer = { ...answerWith(found, content, 'raw'), type: C_TYPE }
      return hub.sender.send(c, answer)
    })
    .openapi(getType, async (c) => {
      const { name: asked, ...named } = c.req.valid('param')
      const { build_id, format = 'json' } = c.req.valid('query')
      const name = parseTypeName(asked)
      const found: Found = await find(hub, { kernel: { ...named, build_id } })
      const text = await hub.types.type(found.build, name)
      if (text === null)
        throw new RegistryError('NOT_FOUND', `this kernel has no type ${JSON.stringify(name)}`)
      c.header('Cache-Control', 'public, max-age=300')
      if (format === 'c') return c.body(`${text.c}\n`, 200, { 'Content-Type': C_TYPE })
      return c.json({ name, kernel: { ...found.build.kernel }, ...text }, 200)
    })
    .openapi(getTypeOverKernels, async (c) => {
      const name = parseTypeName(c.req.valid('param').name)
      const matches = filterOf(c.req.valid('query'))
      const { kernels } = await hub.snapshots.get()
      const { layouts, without, pending } = await hub.types.over(kernels.entries.filter(matches), name)
      if (pending === 0 && layouts.length === 0) {
        throw new RegistryError('NOT_FOUND', `no kernel here has a type ${JSON.stringify(name)}`)
      }
      c.header('Cache-Control', pending === 0 ? 'public, max-age=300' : 'no-store')
      if (pending > 0) c.header('Retry-After', '2')
      const names = (entries: readonly { readonly key: string }[]): string[] => entries.map(({ key }) => key)
      return c.json(
        {
          name,
          layouts: layouts.map(({ kernels: those, ...text }) => ({ ...text, kernels: names(those) })),
          without: names(without),
          pending,
        },
        200,
      )
    })
}

function filterOf(query: TypesQuery): (entry: { readonly kernel: Found['build']['kernel'] }) => boolean {
  const distro = query.distro === undefined ? null : parseDistro(query.distro)
  const arch = query.arch === undefined ? null : parseArch(query.arch)
  if (query.arch !== undefined && arch === null) {
    throw new RegistryError('BAD_REQUEST', `arch ${JSON.stringify(query.arch)}: not known`)
  }
  return ({ kernel: { distro: id, version, arch: itsArch, release } }) =>
    (distro === null || id === distro) &&
    (query.version === undefined || version === parseVersion(id, query.version)) &&
    (arch === null || itsArch === arch) &&
    (query.q === undefined || release.includes(query.q.replaceAll(' ', '+')))
}
