import { OpenAPIHono } from '@hono/zod-openapi'
import { Problem } from '../api.ts'
import { RegistryError } from '../errors.ts'
import type { Env } from '../sender.ts'

/** Every described route can answer with these. */
export const problems = {
  '4XX': { description: 'Why not.', content: { 'application/problem+json': { schema: Problem } } },
  '5XX': { description: 'Not now.', content: { 'application/problem+json': { schema: Problem } } },
} as const

/** A body of bytes, as OpenAPI says it. */
export const bytes = {
  'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
} as const

/** A body with BPF objects. */
export const objectsBody = {
  required: true,
  content: {
    'multipart/form-data': {
      schema: {
        type: 'object' as const,
        required: ['object'],
        properties: {
          object: { type: 'array' as const, items: { type: 'string' as const, format: 'binary' } },
        },
      },
    },
  },
}

/** A group of routes that /openapi.json describes. What their schemas refuse is a `BAD_REQUEST`. */
export function describedRoutes(): OpenAPIHono<Env> {
  return new OpenAPIHono<Env>({
    defaultHook(result) {
      if (result.success) return
      const [issue] = result.error.issues
      const where = [result.target, ...(issue?.path ?? [])].join(' ')
      throw new RegistryError('BAD_REQUEST', `${where}: ${issue?.message ?? 'invalid'}`)
    },
  })
}
