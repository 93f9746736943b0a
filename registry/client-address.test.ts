import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { clientAddress, clientKey, parseTrust } from './client-address.ts'

function from(peer: string | undefined, forwarded?: string): Pick<IncomingMessage, 'socket' | 'headers'> {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  return { socket: { remoteAddress: peer } as IncomingMessage['socket'], headers }
}

describe('who asks', () => {
  it.each([
    ['nobody is believed', '0', '10.0.0.1', '6.6.6.6', '10.0.0.1'],
    ['one proxy', '1', '10.0.0.1', '6.6.6.6, 192.0.2.7', '192.0.2.7'],
    ['two proxies', '2', '10.0.0.1', '6.6.6.6, 192.0.2.7, 10.0.0.2', '192.0.2.7'],
    ['more proxies than there are', '9', '10.0.0.1', '192.0.2.7', '192.0.2.7'],
    ['one proxy that says nothing', '1', '10.0.0.1', undefined, '10.0.0.1'],
    ['one proxy that says nonsense', '1', '10.0.0.1', '6.6.6.6, unknown', '10.0.0.1'],
    ['proxies by address', '10.0.0.0/8', '10.0.0.1', '6.6.6.6, 192.0.2.7, 10.9.9.9', '192.0.2.7'],
    ['a peer that is none of them', '10.0.0.0/8', '192.0.2.1', '6.6.6.6', '192.0.2.1'],
    ['mapped IPv4', '10.0.0.0/8', '::ffff:10.0.0.1', '::ffff:192.0.2.7', '192.0.2.7'],
    ['with ports and brackets', '2', '10.0.0.1', '[2001:DB8::1]:443, 192.0.2.7:80', '2001:db8::1'],
    ['IPv6 proxies', 'fd00::/8,::1', '::1', '2001:db8::1, fd00::2', '2001:db8::1'],
    ['a socket that is gone', '0', undefined, '6.6.6.6', 'unknown'],
  ])('%s', (_, trust, peer, forwarded, client) => {
    expect(clientAddress(from(peer, forwarded), parseTrust(trust) ?? { hops: 0 })).toBe(client)
  })

  it('is not made to read endless chains', () => {
    const chain = Array.from({ length: 100_000 }, () => '10.0.0.2').join(', ')
    expect(clientAddress(from('10.0.0.1', chain), { hops: 100 })).toBe('10.0.0.2')
  })

  it.each(['', 'x', '10.0.0.0/33', '::1/129', '10.0.0.0/', '1.2.3', '-1', '10.0.0.1 nope'])(
    '%j is no trust',
    (text) => {
      expect(parseTrust(text)).toBeNull()
    },
  )
})

it.each([
  ['192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::', '2001:db8:1:2'],
  ['2001:0db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
])('%s is counted as %s', (address, key) => {
  expect(clientKey(address)).toBe(key)
})
