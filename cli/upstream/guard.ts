import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import { isPrivateAddress } from '../../core/private-address.ts'
import type { HttpGuard } from '../../core/http-client.ts'

/**
 * Keeps an upstream from sending this hub where it has no business (SSRF): redirects stay on its host or go to https,
 * and neither a redirect nor a name leads to a private address, unless the upstream itself has one. Names are checked
 * as they are resolved for the connection, so that an answer of the DNS that changes in between changes nothing; where
 * a proxy resolves them, it has to know better. `resolve` is `dns.lookup`, for tests another.
 */
export function upstreamGuard(
  upstream: URL,
  proxies: ReadonlySet<string>,
  resolve: typeof dnsLookup = dnsLookup,
): HttpGuard {
  const own = hostName(upstream)
  let isOwnPrivate = isIP(own) !== 0 && isPrivateAddress(own)
  return {
    refuses(to) {
      if (to.host !== upstream.host && to.protocol !== 'https:') return 'another host, and not by https'
      const name = hostName(to)
      const isPrivate = isIP(name) !== 0 && isPrivateAddress(name)
      return isPrivate && !isOwnPrivate ? 'a private address' : null
    },
    lookup: (name, options, callback) => {
      resolve(name, { ...options, all: true }, (err, addresses: LookupAddress[]) => {
        if (err !== null) return callback(err, [])
        const isPrivate = addresses.some(({ address }) => isPrivateAddress(address))
        if (name === own) isOwnPrivate = isPrivate
        else if (isPrivate && !isOwnPrivate && !proxies.has(name)) {
          return callback(new Error(`${name} has a private address`), [])
        }
        const [first] = addresses
        if (options.all === true || first === undefined) callback(null, addresses)
        else callback(null, first.address, first.family)
      })
    },
  }
}

/** Hosts of the proxies that an environment names. */
export function proxyHosts(env: NodeJS.ProcessEnv): ReadonlySet<string> {
  const names = ['http_proxy', 'https_proxy', 'all_proxy'].flatMap((name) => [
    env[name],
    env[name.toUpperCase()],
  ])
  return new Set(
    names.flatMap((text) => (text !== undefined && URL.canParse(text) ? [hostName(new URL(text))] : [])),
  )
}

function hostName({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
}
