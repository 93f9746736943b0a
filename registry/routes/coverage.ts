import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { coverage, lastCrawls } from '../../store/index.ts'
import { Coverage } from '../api.ts'
import type { Hub } from '../hub.ts'
import { readSeldom } from '../read-seldom.ts'
import type { Env } from '../sender.ts'
import { describedRoutes, problems } from './open-api.ts'

/** Counting looks at every build and at all that was ever listed. */
const COUNT_EVERY_MS = 30_000

const getCoverage = createRoute({
  method: 'get',
  path: '/v1/coverage',
  summary: 'What distributions offer against what the hub has, and how the last crawl of each source went.',
  responses: {
    200: { description: 'As of the last crawls.', content: { 'application/json': { schema: Coverage } } },
    ...problems,
  },
})

/** `/v1/coverage`. */
export function coverageRoutes(hub: Hub): OpenAPIHono<Env> {
  const read = readSeldom(COUNT_EVERY_MS, () => countedCoverage(hub))
  return describedRoutes().openapi(getCoverage, async (c) => c.json(await read(), 200))
}

async function countedCoverage({ catalog }: Hub): Promise<Coverage> {
  const [rows, crawls] = await Promise.all([coverage(catalog), lastCrawls(catalog)])
  return {
    coverage: rows.map(({ withoutEbpf, ...row }) => ({ ...row, without_ebpf: withoutEbpf })),
    crawls: crawls.map(({ startedAt, endedAt, withoutEbpf, ...crawl }) => ({
      ...crawl,
      started_at: startedAt,
      ended_at: endedAt,
      without_ebpf: withoutEbpf,
    })),
  }
}
