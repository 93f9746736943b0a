import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { addKernel, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { Problem } from './api.ts'
import { createApp } from './app.ts'
import type { KernelFacts } from '../core/resolve/facts.ts'
import { createHub, type Hub } from './hub.ts'
import type { JustInTimeOptions } from './just-in-time.ts'
import { type Supplier, type Supply, SupplyError } from './supplier.ts'

let store: TestStore
let hub: Hub

beforeEach(async () => {
  store = await openTestStore()
})

afterEach(async () => {
  await hub.justInTime.close()
  await store.cleanUp()
})

class FakeSupplier implements Supplier {
  readonly asked: KernelFacts[] = []
  readonly name: string
  readonly queued = 0
  readonly #act: (facts: KernelFacts) => Promise<Supply>

  constructor(name: string, act: (facts: KernelFacts) => Promise<Supply>) {
    this.name = name
    this.#act = act
  }

  supply(facts: KernelFacts): Promise<Supply> {
    this.asked.push(facts)
    return this.#act(facts)
  }

  async close(): Promise<void> {}
}

const absent = new FakeSupplier('absent', async () => ({ kind: 'absent', why: null }))

/** Brings any release after a while. */
function bringer(delayMs: number): FakeSupplier {
  return new FakeSupplier('bringer', async ({ release }) => {
    await sleep(delayMs)
    await addKernel(store, { kernel: { release: release ?? '' }, btf: tinyKernel(4) })
    return { kind: 'added' }
  })
}

function serve(
  suppliers: readonly Supplier[],
  justInTime: Partial<JustInTimeOptions> = {},
): (path: string, init?: RequestInit) => Promise<Response> {
  hub = createHub({ ...store, log: silentLog, suppliers, justInTime, via: 'us' })
  const app = createApp(hub)
  return async (path, init) => app.request(path, init)
}

function resolveOf(release: string, headers: Record<string, string> = {}): [string, RequestInit] {
  return [
    '/v1/resolve',
    {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ release }),
    },
  ]
}

describe('what is not here', () => {
  it('is brought once for many askers, who wait for it', async () => {
    const supplier = bringer(50)
    const ask = serve([supplier])
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('/v1/btf/new')))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200))
    expect(supplier.asked).toHaveLength(1)
    expect(supplier.asked[0]).toMatchObject({ release: 'new', arch: 'x86_64' })
  })

  it('is asked for from the next where the first has it not, and no further', async () => {
    const [second, third] = [bringer(0), bringer(0)]
    const ask = serve([absent, second, third])
    expect((await ask('/debian/12/amd64/new.btf.gz')).status).toBe(200)
    expect([second.asked.length, third.asked.length]).toEqual([1, 0])
  })

  it('is answered with 202 and Retry-After where it takes longer, and given later', async () => {
    const ask = serve([bringer(300)], { waitMs: 20 })
    const first = await ask(...resolveOf('slow'))
    expect(first.status).toBe(202)
    expect(first.headers.get('retry-after')).toBe('2')
    expect(Problem.parse(await first.json())).toMatchObject({ code: 'PENDING', status: 202, retry_after: 2 })
    const start = Date.now()
    while ((await ask(...resolveOf('slow'))).status === 202 && Date.now() - start < 10_000) await sleep(50)
    expect((await ask(...resolveOf('slow'))).status).toBe(200)
  })

  it.each([
    ['/v1/btf/slow', {}, 503],
    ['/debian/12/x86_64/slow.btf.tar.xz', {}, 503],
    ['/coolbpf/btf/x86_64/vmlinux-slow', {}, 503],
    ['/v1/btf/slow', { prefer: 'respond-async' }, 202],
    ['/v1/btf/slow?format=sha256', { prefer: 'wait=10, respond-async' }, 202],
  ])('%s %o: %i, so that no `curl -f` saves it as a BTF', async (path, headers, status) => {
    const ask = serve([bringer(200)], { waitMs: 5 })
    const answer = await ask(path, { headers })
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([status, '2'])
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    await sleep(250)
  })

  it('is remembered as being nowhere, for a while', async () => {
    const supplier = new FakeSupplier('nowhere', async () => ({ kind: 'absent', why: 'listed nowhere' }))
    const ask = serve([supplier], { absentMs: 200 })
    for (let i = 0; i < 3; i++) {
      const answer = await ask('/v1/btf/none')
      expect(answer.status).toBe(404)
    }
    expect(supplier.asked).toHaveLength(1)
    await sleep(250)
    expect(Problem.parse(await (await ask('/v1/btf/none')).json()).detail).toContain('listed nowhere')
    expect(supplier.asked).toHaveLength(2)
  })

  it('is 503 where somebody who may have it could not be asked, who is left alone for a while', async () => {
    const ill = new FakeSupplier('ill', () => Promise.reject(new SupplyError('ILL', 'hub.example: refused')))
    const ask = serve([ill, absent], { illMs: 200 })
    for (let i = 0; i < 3; i++) {
      const answer = await ask('/v1/btf/none')
      expect([answer.status, Problem.parse(await answer.json()).code]).toEqual([503, 'UNAVAILABLE'])
    }
    expect(ill.asked).toHaveLength(1)
    await sleep(250)
    expect((await ask('/v1/btf/none')).status).toBe(503)
    expect(ill.asked).toHaveLength(2)
  })

  it('does not matter where a later one brings it although an earlier one is ill', async () => {
    const ill = new FakeSupplier('ill', () => Promise.reject(new Error('boom')))
    const ask = serve([ill, bringer(0)])
    expect((await ask('/v1/btf/new')).status).toBe(200)
  })

  it('is refused with 503 where too much is under way', async () => {
    const ask = serve([bringer(100)], { maxFlights: 2, waitMs: 500 })
    const statuses = (await Promise.all(['a1', 'a2', 'a3'].map((r) => ask(`/v1/btf/${r}`)))).map(
      ({ status }) => status,
    )
    expect(statuses.sort()).toEqual([200, 200, 503])
  })

  it('is not asked for where the tool is missing, the question makes no sense, or it is ours already', async () => {
    const supplier = bringer(0)
    const ask = serve([supplier])
    await addKernel(store, { kernel: { release: 'here' }, btf: tinyKernel(4) })
    expect((await ask('/v1/min/nope/new')).status).toBe(404)
    expect((await ask('/v1/btf/a%2Fb')).status).toBe(400)
    expect((await ask('/v1/btf/here')).status).toBe(200)
    expect(supplier.asked).toEqual([])
  })

  it('is not asked for in a circle of hubs', async () => {
    const supplier = bringer(0)
    const ask = serve([supplier])
    expect((await ask(...resolveOf('new', { via: '1.1 proxy, 1.1 us' }))).status).toBe(404)
    expect(supplier.asked).toEqual([])
    expect((await ask(...resolveOf('new', { via: '1.1 other' }))).status).toBe(200)
  })

  it('shows in the metrics', async () => {
    const ask = serve([absent])
    await ask('/v1/btf/none')
    await ask('/v1/btf/none')
    const text = await (await ask('/metrics')).text()
    expect(text).toContain('btfhub_supplies_total{supplier="absent",outcome="absent"} 1')
    expect(text).toContain('btfhub_supplies_total{supplier="all",outcome="remembered"} 1')
    expect(text).toContain('btfhub_supply_queue{supplier="absent"} 0')
  })
})
