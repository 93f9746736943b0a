import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { addKernel, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import type { AccessEntry } from './access-log.ts'
import { Problem } from './api.ts'
import { TokenBuckets } from './rate-limit.ts'
import { type RunningRegistry, startRegistry } from './server.ts'

describe('a token bucket', () => {
  it('lets ten seconds of the rate through at once, then the rate', () => {
    let now = 0
    const buckets = new TokenBuckets(2, () => now)
    const taken = (): number =>
      Array.from({ length: 100 }, () => buckets.take('a')).filter((wait) => wait === 0).length
    expect(taken()).toBe(20)
    now += 1000
    expect(taken()).toBe(2)
    now += 1e9
    expect(taken()).toBe(20)
    expect(buckets.take('b')).toBe(0)
  })

  it('says when there will be a token', () => {
    let now = 0
    const buckets = new TokenBuckets(0.1, () => now)
    expect(buckets.take('a')).toBe(0)
    expect(buckets.take('a')).toBe(10)
    now += 4000
    expect(buckets.take('a')).toBe(6)
    now += 6000
    expect(buckets.take('a')).toBe(0)
  })

  it('with a rate of 0 is none', () => {
    const buckets = new TokenBuckets(0)
    for (let i = 0; i < 1000; i++) expect(buckets.take('a')).toBe(0)
  })
})

describe('a registry with limits and an access log', () => {
  let store: TestStore
  let hub: RunningRegistry
  const lines: AccessEntry[] = []

  beforeAll(async () => {
    store = await openTestStore()
    await addKernel(store, { kernel: { release: 'small' }, btf: tinyKernel(4) })
    hub = await startRegistry(
      {
        ...store,
        log: silentLog,
        rates: { perSecond: 2, workPerSecond: 0.1, trust: { hops: 1 } },
        access: { write: (entry) => void lines.push(entry) },
      },
      { host: '127.0.0.1', port: 0 },
    )
  })

  afterAll(async () => {
    await hub.stop()
    await store.cleanUp()
  })

  function ask(
    path: string,
    client: string | null,
    method = 'GET',
  ): Promise<{ status: number; retryAfter: string | undefined; body: string }> {
    return new Promise((resolve, reject) => {
      const headers = client === null ? {} : { 'x-forwarded-for': client }
      const outgoing = request({ port: hub.port, path, method, headers, agent: false }, (incoming) => {
        let body = ''
        incoming.setEncoding('latin1').on('data', (chunk: string) => (body += chunk))
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, retryAfter: incoming.headers['retry-after'], body }),
        )
      })
      outgoing.on('error', reject)
      outgoing.end()
    })
  }

  async function statuses(
    count: number,
    path: string,
    client: string | null,
    method = 'GET',
  ): Promise<number[]> {
    const all: number[] = []
    for (let i = 0; i < count; i++) all.push((await ask(path, client, method)).status)
    return all
  }

  it('answers 429 with Retry-After beyond the rate, hot answers among them, and others go on', async () => {
    const all = await statuses(40, '/v1/btf/small', '192.0.2.1')
    expect(all.filter((status) => status === 200).length).toBeGreaterThanOrEqual(20)
    expect(all.at(-1)).toBe(429)
    const refused = await ask('/v1/btf/small', '192.0.2.1')
    expect([refused.status, refused.retryAfter]).toEqual([429, '1'])
    expect(Problem.parse(JSON.parse(refused.body)).code).toBe('RATE_LIMITED')
    expect((await ask('/v1/btf/small', '192.0.2.2')).status).toBe(200)
    expect((await ask('/v1/btf/nope', '192.0.2.1')).status).toBe(429)
  })

  it('counts on connections that are answered before the HTTP server, too', async () => {
    // Without a header that names a client, its address is the connection's.
    const all = await statuses(40, '/v1/btf/small', null)
    expect(all.at(-1)).toBe(429)
  })

  it('counts what makes it compute more strictly', async () => {
    expect(await statuses(3, '/v1/minimize?release=small', '192.0.2.3', 'POST')).toEqual([415, 429, 429])
    expect((await ask('/v1/btf/small', '192.0.2.3')).status).toBe(200)
  })

  it('lets probes through', async () => {
    expect(new Set(await statuses(40, '/readyz', '192.0.2.4'))).toEqual(new Set([200]))
  })

  it('logs each request with what came of it', async () => {
    lines.length = 0
    await ask('/v1/btf/small?arch=x86_64', '192.0.2.5')
    await ask('/v1/btf/small?arch=x86_64', '192.0.2.5')
    await ask('/v1/btf/nope%0d%0ainjected', '192.0.2.5')
    expect(lines).toEqual([
      {
        method: 'GET',
        url: '/v1/btf/small?arch=x86_64',
        route: '/v1/btf/:release',
        status: 200,
        bytes: tinyKernel(4).byteLength,
        ms: expect.any(Number) as number,
        client: '192.0.2.5',
        match: 'release',
        kernel: 'debian/12/x86_64/small',
      },
      {
        method: 'GET',
        url: '/v1/btf/small?arch=x86_64',
        route: 'hot',
        status: 200,
        bytes: tinyKernel(4).byteLength,
        ms: 0,
        client: '192.0.2.5',
      },
      expect.objectContaining({ url: '/v1/btf/nope%0d%0ainjected', status: 400 }),
    ])
  })

  it('tells how many it refused', async () => {
    const { body } = await ask('/metrics', '192.0.2.6')
    expect(Number(/^btfhub_rate_limited_total (\d+)$/m.exec(body)?.[1])).toBeGreaterThan(20)
  })
})
