import type { Context } from 'hono'
import { allowsTool, findToken } from '../core/token.ts'
import { RegistryError } from './errors.ts'
import type { Hub } from './hub.ts'
import type { Env } from './sender.ts'

/** RFC 6750 2.1; nothing that we make is longer. */
const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]{1,200})$/i

/**
 * Lets who has a token with the right scope add versions of a tool. Tokens are read each time, so that one that was
 * removed is worth nothing at once. Throws RegistryError `UNAUTHORIZED`, `FORBIDDEN`.
 */
export async function authorizeTool(hub: Hub, c: Context<Env>, tool: string): Promise<void> {
  const secret = BEARER.exec(c.req.header('authorization') ?? '')?.[1]
  const token = secret === undefined ? null : findToken(await hub.catalog.tokens(), secret)
  if (token === null) {
    throw new RegistryError('UNAUTHORIZED', 'expected Authorization: Bearer and a token of this hub', {
      headers: { 'WWW-Authenticate': 'Bearer realm="btfhub"' },
    })
  }
  if (!allowsTool(token.scopes, tool)) {
    throw new RegistryError(
      'FORBIDDEN',
      `token ${token.name}: is for ${token.scopes.join(' ')}, not tool:${tool}`,
    )
  }
}
