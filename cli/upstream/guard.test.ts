import type { lookup } from 'node:dns'
import { describe, expect, it } from 'vitest'
import { proxyHosts, upstreamGuard } from './guard.ts'

const NAMES: Readonly<Record<string, string>> = {
  'archive.example': '93.184.216.34',
  'cdn.example': '93.184.216.35',
  'evil.example': '169.254.169.254',
  'proxy.example': '10.0.0.9',
  'intern.example': '10.0.0.1',
}

/** `dns.lookup` of a world with these names. */
const resolve = ((name: string, _options: unknown, callback: (...args: unknown[]) => void) => {
  const address = NAMES[name]
  if (address === undefined) callback(Object.assign(new Error('none'), { code: 'ENOTFOUND' }), [])
  else callback(null, [{ address, family: 4 }])
}) as unknown as typeof lookup

function lookUp(guard: ReturnType<typeof upstreamGuard>, name: string, all: boolean): Promise<unknown> {
  return new Promise((settle, reject) => {
    guard.lookup(name, { all }, (err, address) => (err === null ? settle(address) : reject(err)))
  })
}

describe('redirects of a public upstream', () => {
  const guard = upstreamGuard(new URL('https://archive.example/btf'), new Set(['proxy.example']), resolve)

  it.each([
    ['https://archive.example/other', null],
    ['https://cdn.example/x', null],
    ['http://archive.example/x', null],
    ['http://cdn.example/x', 'another host, and not by https'],
    ['http://archive.example:6379/x', 'another host, and not by https'],
    ['https://169.254.169.254/x', 'a private address'],
    ['https://[::1]/x', 'a private address'],
    ['https://[::ffff:127.0.0.1]/x', 'a private address'],
    ['https://0x7f000001/x', 'a private address'],
    ['https://2130706433/x', 'a private address'],
  ])('%s: %s', (to, why) => {
    expect(guard.refuses(new URL(to))).toBe(why)
  })

  it.each([true, false])('names are looked at as they are resolved (all: %s)', async (all) => {
    const address = all ? [{ address: '93.184.216.35', family: 4 }] : '93.184.216.35'
    expect(await lookUp(guard, 'cdn.example', all)).toEqual(address)
    await expect(lookUp(guard, 'evil.example', all)).rejects.toThrow('evil.example has a private address')
    await expect(lookUp(guard, 'none.example', all)).rejects.toThrow('none')
    await lookUp(guard, 'proxy.example', all)
  })
})

describe('redirects of a private upstream', () => {
  it('may lead to private addresses', async () => {
    const byName = upstreamGuard(new URL('http://intern.example'), new Set(), resolve)
    await lookUp(byName, 'intern.example', true)
    await lookUp(byName, 'evil.example', true)
    const byAddress = upstreamGuard(new URL('http://127.0.0.1:1'), new Set(), resolve)
    expect(byAddress.refuses(new URL('https://10.0.0.1/'))).toBeNull()
    expect(byAddress.refuses(new URL('http://10.0.0.1/'))).toBe('another host, and not by https')
  })
})

it('proxies are known from the environment', () => {
  const env = {
    http_proxy: 'http://proxy.example:3128',
    HTTPS_PROXY: 'http://[fd00::1]:3128',
    all_proxy: 'nonsense',
  }
  expect(proxyHosts(env)).toEqual(new Set(['proxy.example', 'fd00::1']))
})
