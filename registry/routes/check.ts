import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { CheckAnswer, CheckQuery } from '../api.ts'
import { checkObjects, type CheckParts, groupsOfBuilds } from '../check-objects.ts'
import { RegistryError } from '../errors.ts'
import type { Hub } from '../hub.ts'
import { wantedBuilds } from '../kernel-filter.ts'
import { nameModules } from '../name-modules.ts'
import { toObjectSet } from '../object-mins.ts'
import type { Env } from '../sender.ts'
import { readObjects } from '../uploads.ts'
import { describedRoutes, objectsBody, problems } from './open-api.ts'

const postCheck = createRoute({
  method: 'post',
  path: '/v1/check',
  summary: 'On which kernels the BPF objects in the body would not load, and why; nothing is stored.',
  request: { query: CheckQuery, body: objectsBody },
  responses: {
    200: { description: 'What was found.', content: { 'application/json': { schema: CheckAnswer } } },
    ...problems,
  },
})

/** `POST /v1/check`. */
export function checkRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes().openapi(postCheck, async (c) => {
    const filter = c.req.valid('query')
    const set = toObjectSet(await readObjects(c))
    const { generation, kernels } = await hub.snapshots.get()
    const builds = wantedBuilds(kernels, filter)
    const groups = groupsOfBuilds(builds)
    if (groups.length === 0) throw new RegistryError('NOT_FOUND', 'no kernels to check on')
    const key = JSON.stringify(['check', set.key, filter])
    const { answer } = await hub.checks.get(key, generation, async (job) => {
      const parts: CheckParts = {
        objectMins: hub.objectMins,
        nameModules: (findings, signal) => nameModules(hub, builds, findings, signal),
      }
      const made = await checkObjects(parts, set, groups, job)
      return { answer: made, sizeBytes: JSON.stringify(made).length }
    })
    return c.json(answer, 200, { 'Cache-Control': 'no-store' })
  })
}
