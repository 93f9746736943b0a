import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { z } from 'zod'
import { checkName } from '../../core/kernel.ts'
import { MinimizeError, parseBpfObject } from '../../minimize/index.ts'
import { StoreError, type Tool, type ToolObject } from '../../store/types.ts'
import { ToolProgress } from '../api.ts'
import { authorizeTool } from '../authorize.ts'
import { RegistryError } from '../errors.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { formatTool } from '../tool-index.ts'
import { boundUploads, readObjects, type UploadedObject } from '../uploads.ts'
import { describedRoutes, problems } from './open-api.ts'

const path = '/v1/tools/{tool}/{version}'
/** What the path of a tool has besides its versions. */
const RESERVED = 'bundle'

const params = z.object({ tool: z.string().max(1024), version: z.string().max(1024) })
const progress = { 'application/json': { schema: ToolProgress } } as const

const getProgress = createRoute({
  method: 'get',
  path,
  summary: 'One version of a tool, and how far its min BTF have come.',
  request: { params },
  responses: { 200: { description: 'The tool.', content: progress }, ...problems },
})

/**
 * `PUT` and `GET /v1/tools/{tool}/{version}`. Who may is asked before anything of the body is read. A version means the
 * same objects for ever; its min BTF are made in the background.
 */
export function putToolRoutes(hub: Hub): OpenAPIHono<Env> {
  const uploads = boundUploads()
  const admit: MiddlewareHandler<Env> = async (c, next) => {
    await authorizeTool(hub, c, toolName('tool name', c.req.param('tool') ?? ''))
    return uploads(c, next)
  }
  const putTool = createRoute({
    method: 'put',
    path,
    summary:
      'Registers BPF objects as a version of a tool; needs a token. The same objects again change nothing.',
    security: [{ bearer: [] }],
    middleware: [admit] as const,
    request: {
      params,
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
    responses: {
      200: { description: 'It is here already, with these objects.', content: progress },
      201: { description: 'It is new.', content: progress },
      ...problems,
    },
  })
  return describedRoutes()
    .openapi(putTool, async (c) => {
      const { tool, version } = c.req.valid('param')
      const name = toolName('tool name', tool)
      const objects = await readObjects(c)
      checkObjects(objects)
      if (version === RESERVED) throw new RegistryError('BAD_REQUEST', `${RESERVED} cannot be a version`)
      const { kept, isNew } = await keep(hub, name, toolName('tool version', version), objects)
      hub.toolWork.wake()
      return c.json(await hub.toolWork.progress(kept), isNew ? 201 : 200)
    })
    .openapi(getProgress, async (c) => {
      const { tool, version } = c.req.valid('param')
      const found = await hub.catalog.tool(tool, version)
      if (found === null)
        throw new RegistryError('NOT_FOUND', `no tool ${JSON.stringify(`${tool}@${version}`)}`)
      return c.json(await hub.toolWork.progress(found), 200)
    })
}

/** Throws KernelNameError; `@` is what stands between name and version. */
function toolName(what: string, text: string): string {
  return checkName(what, text.includes('@') ? '@' : text)
}

/** Throws KernelNameError, RegistryError `BAD_REQUEST`, `TOOL_UNFIT`. */
function checkObjects(objects: readonly UploadedObject[]): void {
  const names = new Set<string>()
  for (const { name, bytes } of objects) {
    checkName('object', name)
    if (names.has(name)) throw new RegistryError('BAD_REQUEST', `two objects are named ${name}`)
    names.add(name)
    try {
      parseBpfObject(name, bytes)
    } catch (err) {
      if (!(err instanceof MinimizeError)) throw err
      throw new RegistryError('TOOL_UNFIT', err.message, { cause: err })
    }
  }
}

async function keep(
  hub: Hub,
  name: string,
  version: string,
  objects: readonly UploadedObject[],
): Promise<{ readonly kept: Tool; readonly isNew: boolean }> {
  try {
    const before = await hub.catalog.tool(name, version)
    const refs: ToolObject[] = []
    for (const object of objects) refs.push({ name: object.name, ...(await hub.blobs.put(object.bytes)) })
    const kept = await hub.catalog.addTool({ name, version, objects: refs })
    return { kept, isNew: before === null }
  } catch (err) {
    if (!(err instanceof StoreError)) throw err
    if (err.code !== 'CONFLICT') throw err
    const label = formatTool({ name, version })
    throw new RegistryError('CONFLICT', `${label} is here with other objects: give these another version`, {
      cause: err,
    })
  }
}
