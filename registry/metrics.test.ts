import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { formatMetrics } from './metrics.ts'
import { type RunningRegistry, startRegistry } from './server.ts'

let store: TestStore
let hub: RunningRegistry

beforeAll(async () => {
  store = await openTestStore()
  await addKernel(store, { kernel: { release: 'known' }, btf: tinyKernel(4) })
  await addTool(store, 'pids', '1.0', compileTool(['pid']))
  await store.catalog.addFailure({
    key: 'debian/x',
    kernel: { distro: 'debian', version: '12', arch: 'x86_64', release: 'broken' },
    code: 'NO_BTF',
    message: 'has none',
    lastTryAt: '2026-01-02T03:04:05.000Z',
  })
  hub = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
}, 60_000)

afterAll(async () => {
  await hub.stop()
  await store.cleanUp()
})

/** Samples by name and labels, as a scrape sees them; every line that is no comment must be one. */
async function scrape(path = '/metrics'): Promise<Map<string, number>> {
  const response = await fetch(hub.url + path)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  const text = await response.text()
  expect(text.endsWith('\n')).toBe(true)
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# ')) continue
    const match = /^([a-z_]+(?:\{[a-z_]+="[^"]*"(?:,[a-z_]+="[^"]*")*\})?) (\S+)$/.exec(line)
    if (match === null) throw new Error(`no sample: ${line}`)
    samples.set(match[1] as string, Number(match[2]))
  }
  return samples
}

describe('/metrics', () => {
  it('counts requests by route and status, resolves by outcome, and bytes, hot or not', async () => {
    const get = async (path: string): Promise<number> => {
      const response = await fetch(hub.url + path)
      await response.arrayBuffer()
      return Number(response.headers.get('content-length'))
    }
    const before = await scrape()
    const first = await get('/v1/min/pids/known')
    const sizes = [first, await get('/v1/min/pids/known'), await get('/v1/min/pids/known')]
    await get('/v1/btf/unknown')
    await get('/no/such/path')
    await get('/debian/12/x86_64/known.btf')
    const after = await scrape()
    const grew = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0)
    expect(grew('btfhub_requests_total{route="/v1/min/:tool/:release",status="200"}')).toBe(1)
    expect(grew('btfhub_requests_total{route="/v1/btf/:release",status="404"}')).toBe(1)
    expect(grew('btfhub_requests_total{route="none",status="404"}')).toBe(1)
    expect(grew('btfhub_requests_total{route="/:distro/:version/:arch/:file",status="200"}')).toBe(1)
    expect(grew('btfhub_hot_answers_total')).toBe(2)
    expect(grew('btfhub_min_btf_made_total')).toBe(1)
    expect(grew('btfhub_resolves_total{outcome="release"}')).toBe(2)
    expect(grew('btfhub_resolves_total{outcome="not-found"}')).toBe(1)
    expect(grew('btfhub_body_bytes_total')).toBeGreaterThan(sizes.reduce((sum, size) => sum + size))
  })

  it('says what the hub has', async () => {
    const samples = await scrape('/monitoring/metrics')
    expect(samples.get('btfhub_kernels{distro="debian",arch="x86_64"}')).toBe(1)
    expect(samples.get('btfhub_tools')).toBe(1)
    expect(samples.get('btfhub_blobs')).toBeGreaterThanOrEqual(2)
    expect(samples.get('btfhub_failures{code="NO_BTF"}')).toBe(1)
    const newest = [...samples].find(([name]) => name.startsWith('btfhub_newest_build_timestamp_seconds{'))
    expect(newest?.[1]).toBe(Date.parse('2026-01-02T03:04:05.678Z') / 1000)
    expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(1e6)
  })

  it('has one label set for whatever paths are made up', async () => {
    const before = (await scrape()).size
    for (let i = 0; i < 20; i++) {
      await fetch(`${hub.url}/made/up-${i}`)
      await fetch(`${hub.url}/v1/btf/made-up-${i}?distro=x${i}`)
    }
    expect((await scrape()).size - before).toBeLessThanOrEqual(2)
  })

  it('escapes what a label must not have', () => {
    const sample = [{ source: 'a"b\\c\nd' }, 1] as const
    expect(formatMetrics([{ name: 'x', help: 'h', type: 'gauge', samples: [sample] }])).toBe(
      '# HELP x h\n# TYPE x gauge\nx{source="a\\"b\\\\c\\nd"} 1\n',
    )
  })
})
