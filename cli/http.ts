import type { Log } from '../core/log.ts'
import { type HostPolicies, politeHosts } from '../core/hosts.ts'
import { createHttp, type HttpClient, type HttpOptions, hubUserAgent } from '../core/http-client.ts'

/** Whom a mirror's operator can write to about this crawler; a hub's own operator says so with BTFHUB_CONTACT. */
const CONTACT = 'https://github.com/btfhub/btfhub'

/** The outward client that every command shares. */
export function cliHttp(
  env: NodeJS.ProcessEnv,
  log: Log,
  hosts: HostPolicies = politeHosts,
  extra: Pick<HttpOptions, 'guard' | 'bounds' | 'files' | 'identities'> = { files: true },
): HttpClient {
  const contact = env['BTFHUB_CONTACT'] ?? CONTACT
  return createHttp({ userAgent: hubUserAgent(contact), hosts, log, env, ...extra })
}
