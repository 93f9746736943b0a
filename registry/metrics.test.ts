import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { recordCrawls, recordListings } from '../store/index.ts'
import { Coverage } from './api.ts'
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
})

afterAll(async () => {
  await hub.stop()
  await store.cleanUp()
})

/** Samples by name and labels, as a scrape sees them; every line that is no comment must be one. */
async function scrape(path = '/metrics', url = hub.url): Promise<Map<string, number>> {
  const response = await fetch(url + path)
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

  it('says how the last crawl of each source went, and what is offered against what is here', async () => {
    const crawl = {
      startedAt: '2026-11-20T02:00:00.000Z',
      endedAt: '2026-11-20T02:10:00.000Z',
      interrupted: false,
    }
    const counts = { known: 5, embedded: 2, dwarf: 1, failed: 1, waiting: 4, withoutEbpf: 3, gone: 6 }
    const indexes = { new: 1, unchanged: 7, absent: 2, failed: 0 }
    const debian = { source: 'debian', ...crawl, ...counts, indexes, requests: 12, bytes: 3456 }
    await recordCrawls([debian, { ...debian, source: 'centos', interrupted: true }], store.catalog)
    await recordCrawls([{ ...debian, known: 8, endedAt: '2026-11-21T02:10:00.000Z' }], store.catalog)
    const listing = { source: 'debian', distro: 'debian', version: '12', arch: 'x86_64', at: crawl.endedAt }
    const builds = [
      ['debian/x', 'default'],
      ['debian/y', 'default'],
    ] as const
    await recordListings(
      [{ ...listing, builds, withoutEbpf: new Set(['debian/y']), whole: true }],
      store.catalog,
    )
    // What every scrape reads is read but seldom: another registry asks anew.
    const other = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
    try {
      const samples = await scrape('/metrics', other.url)
      const of = (name: string): number | undefined => samples.get(`btfhub_last_crawl_${name}`)
      expect(of('ended_timestamp_seconds{source="debian"}')).toBe(Date.parse('2026-11-21T02:10:00Z') / 1000)
      expect(of('started_timestamp_seconds{source="centos"}')).toBe(Date.parse('2026-11-20T02:00:00Z') / 1000)
      expect([of('interrupted{source="debian"}'), of('interrupted{source="centos"}')]).toEqual([0, 1])
      for (const [outcome, count] of Object.entries({ ...counts, known: 8 })) {
        const label = outcome === 'withoutEbpf' ? 'without_ebpf' : outcome
        expect(of(`builds{source="debian",outcome="${label}"}`)).toBe(count)
      }
      expect(of('indexes{source="debian",outcome="unchanged"}')).toBe(7)
      expect([of('requests{source="centos"}'), of('bytes{source="centos"}')]).toEqual([12, 3456])
      const answer = Coverage.parse(await (await fetch(`${other.url}/v1/coverage`)).json())
      expect(answer.crawls).toMatchObject([
        { source: 'centos', interrupted: true },
        { source: 'debian', known: 8, ended_at: '2026-11-21T02:10:00.000Z' },
      ])
      const offered = answer.coverage.find(({ flavour, listed }) => flavour === 'default' && listed > 0)
      expect(offered).toMatchObject({
        distro: 'debian',
        version: '12',
        listed: 2,
        missing: 1,
        failed: 1,
        without_ebpf: 1,
      })
    } finally {
      await other.stop()
    }
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
