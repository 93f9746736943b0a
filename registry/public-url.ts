import type { Context } from 'hono'
import type { Env } from './sender.ts'
import { RegistryError } from './errors.ts'

/** A host as a URL has it: a name, an IPv4 or a bracketed IPv6 address, with or without a port; nothing else. */
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/

/**
 * How the asker reaches this hub, without a slash at the end: what the operator says, else what a proxy in front says
 * (`X-Forwarded-Proto`, `X-Forwarded-Host`), else `Host`. It ends up in a shell script, so nothing passes but letters,
 * digits and `.:-[]/`. Throws RegistryError `BAD_REQUEST`.
 */
export function publicUrlOf(c: Context<Env>, configured: string | undefined): string {
  if (configured !== undefined) return configured.replace(/\/+$/, '')
  const first = (name: string): string | undefined => c.req.header(name)?.split(',')[0]?.trim()
  const proto = first('x-forwarded-proto') ?? new URL(c.req.url).protocol.slice(0, -1)
  const host = first('x-forwarded-host') ?? c.req.header('host') ?? new URL(c.req.url).host
  if ((proto !== 'http' && proto !== 'https') || !HOST.test(host)) {
    throw new RegistryError(
      'BAD_REQUEST',
      'Host, X-Forwarded-Host or X-Forwarded-Proto: not what a URL can have',
    )
  }
  return `${proto}://${host}`
}
