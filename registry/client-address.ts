import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** Which proxies in front of a hub are believed: the last so many, or those of these addresses. */
export type ProxyTrust = { readonly hops: number } | { readonly addresses: BlockList }

/** `X-Forwarded-For` of a chain longer than this is not read further. */
const MAX_CHAIN = 32
/** What stands for an asker of whom no address is known. */
const UNKNOWN = 'unknown'

/** `2`, or `10.0.0.0/8,192.0.2.7,fd00::/8`; null where it is neither. */
export function parseTrust(text: string): ProxyTrust | null {
  if (/^\d{1,3}$/.test(text)) return { hops: Number(text) }
  const addresses = new BlockList()
  for (const part of text.split(/[\s,]+/)) {
    const [address = '', prefix] = part.split('/')
    const version = isIP(address)
    if (version === 0) return null
    const family = version === 4 ? 'ipv4' : 'ipv6'
    if (prefix === undefined) addresses.addAddress(address, family)
    else {
      const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : NaN
      if (!(bits <= (version === 4 ? 32 : 128))) return null
      addresses.addSubnet(address, bits, family)
    }
  }
  return { addresses }
}

/**
 * Who asks: the peer of the connection, or, where that is a proxy that is believed, whom it names. Of
 * `X-Forwarded-For` only the end is believed that trusted proxies have written; its beginning is whatever the client
 * liked to send.
 */
export function clientAddress(
  incoming: Pick<IncomingMessage, 'socket' | 'headers'> | undefined,
  trust: ProxyTrust,
): string {
  const peer = plainAddress(incoming?.socket?.remoteAddress ?? '')
  if (peer === null) return UNKNOWN
  const forwarded = incoming?.headers['x-forwarded-for']
  if (forwarded === undefined) return peer
  const text = Array.isArray(forwarded) ? forwarded.join(',') : forwarded
  const chain = text.split(',').slice(-MAX_CHAIN)
  let client = peer
  for (let hop = 0; isTrusted(client, hop, trust); hop++) {
    const next = plainAddress(chain.pop()?.trim() ?? '')
    if (next === null) break
    client = next
  }
  return client
}

/** What limits are counted by: an IPv6 host has a whole /64 to itself. */
export function clientKey(address: string): string {
  return isIP(address) === 6 ? expand(address).slice(0, 4).join(':') : address
}

function isTrusted(address: string, hop: number, trust: ProxyTrust): boolean {
  if ('hops' in trust) return hop < trust.hops
  return trust.addresses.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}

/** An address without brackets, port and zone, IPv4 as such where it is mapped; null where it is none. */
function plainAddress(text: string): string | null {
  const bare =
    /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text
  const address = bare.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '')
  return isIP(address) === 0 ? null : address.toLowerCase()
}

/** The eight groups of an IPv6 address. */
function expand(address: string): string[] {
  const [before = '', after] = address.split('::')
  const head = before === '' ? [] : before.split(':')
  const tail = after === undefined || after === '' ? [] : after.split(':')
  const zeros = after === undefined ? 0 : Math.max(0, 8 - head.length - tail.length)
  return [...head, ...Array.from({ length: zeros }, () => '0'), ...tail].map((group) =>
    group.replace(/^0+(?=.)/, ''),
  )
}
