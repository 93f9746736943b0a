import { spawnSync } from 'node:child_process'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { addKernel, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore, withTestStore } from '../test/helpers/store.ts'
import { KernelType, Problem, TypeOverKernels } from './api.ts'
import { createApp } from './app.ts'
import { createHub, type Hub } from './hub.ts'

let store: TestStore
let hub: Hub
let ask: (path: string, init?: RequestInit) => Promise<Response>

const at = (release: string, version = '12'): string => `/v1/kernels/debian/${version}/amd64/${release}`

beforeAll(async () => {
  store = await openTestStore()
  await addKernel(store, { kernel: { release: 'a' }, btf: tinyKernel(4), layout: 'four' })
  await addKernel(store, { kernel: { release: 'a', version: '13' }, btf: tinyKernel(4, 1), layout: 'four' })
  await addKernel(store, { kernel: { release: 'b' }, btf: tinyKernel(8), layout: 'eight' })
  await addKernel(store, { kernel: { release: 'two' }, key: 'one', btf: tinyKernel(4), layout: 'four' })
  await addKernel(store, {
    kernel: { release: 'two' },
    key: 'other',
    btf: tinyKernel(8),
    layout: 'eight',
    provenance: { buildId: 'ab'.repeat(20) },
  })
  hub = createHub({ ...store, log: silentLog, typeWaitMs: 60_000 })
  const app = createApp(hub)
  ask = async (path, init) => app.request(path, init)
})

afterAll(async () => {
  await hub.types.close()
  await store.cleanUp()
})

describe('vmlinux.h', () => {
  it('is C that clang takes, with validators, encodings and HEAD as BTF has them', async () => {
    const answer = await ask(`${at('a')}/vmlinux.h`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/x-c; charset=utf-8')
    expect(answer.headers.get('btfhub-kernel')).toBe('debian/12/x86_64/a')
    const text = await answer.text()
    expect(text).toContain('struct task_struct {')
    const source = `${text}\nint f(struct task_struct *t) { return t->tgid; }\n`
    const clang = spawnSync('clang', ['-target', 'bpf', '-x', 'c', '-fsyntax-only', '-'], { input: source })
    expect(clang.status, clang.stderr.toString()).toBe(0)
    const again = await ask(`${at('a')}/vmlinux.h`, {
      headers: { 'if-none-match': answer.headers.get('etag') ?? '' },
    })
    expect(again.status).toBe(304)
    const zipped = await ask(`${at('a')}/vmlinux.h`, { headers: { 'accept-encoding': 'gzip' } })
    expect(zipped.headers.get('content-encoding')).toBe('gzip')
    const head = await ask(`${at('a')}/vmlinux.h`, { method: 'HEAD' })
    expect(head.headers.get('content-length')).toBe(String(Buffer.byteLength(text)))
  })

  it('is made once for many askers, and kept', async () => {
    const texts = await Promise.all(
      Array.from({ length: 20 }, async () => (await ask(`${at('b')}/vmlinux.h`)).text()),
    )
    expect(new Set(texts).size).toBe(1)
    const [build] = await store.catalog.builds({ release: 'b' })
    expect(build && (await store.catalog.derived(build.btf.digest, 'vmlinux.h'))).not.toBeNull()
  })

  it('is ambiguous where builds differ, and exact by build-id', async () => {
    expect((await ask(`${at('two')}/vmlinux.h`)).status).toBe(409)
    expect((await ask(`${at('two')}/vmlinux.h?build_id=${'ab'.repeat(20)}`)).status).toBe(200)
  })
})

describe('one type of a kernel', () => {
  it('is told as C with offsets, in JSON or plain', async () => {
    const type = KernelType.parse(await (await ask(`${at('b')}/types/task_struct`)).json())
    expect(type).toMatchObject({ name: 'task_struct', kernel: { release: 'b', version: '12' } })
    expect(type.c).toMatch(/int tgid; +\/\* +8 +4 \*\//)
    const plain = await ask(`${at('b')}/types/struct%20task_struct?format=c`)
    expect(await plain.text()).toBe(`${type.c}\n`)
  })

  it.each([
    [`${at('b')}/types/no_such`, 404],
    [`${at('nope')}/types/task_struct`, 404],
    [`${at('two')}/types/task_struct`, 409],
    [`${at('b')}/types/..%2f..%2fetc`, 400],
    [`${at('b')}/types/a%0d%0ab`, 400],
    [`${at('b')}/types/${'a'.repeat(300)}`, 400],
    [`${at('b')}/types/task_struct?format=xml`, 400],
    ['/v1/types/no_such', 404],
    ['/v1/types/%00', 400],
    ['/v1/types/task_struct?arch=pdp11', 400],
    ['/v1/types/task_struct?nope=1', 400],
  ])('%s is %i', async (path, status) => {
    const answer = await ask(path)
    expect(answer.status).toBe(status)
    Problem.parse(await answer.json())
  })
})

describe('one type over all kernels', () => {
  it('is grouped by equal layout', async () => {
    const over = TypeOverKernels.parse(await (await ask('/v1/types/task_struct')).json())
    expect(over.layouts.map(({ kernels }) => kernels)).toEqual([
      ['debian/12/x86_64/a', 'debian/13/x86_64/a'],
      ['debian/12/x86_64/b', 'debian/12/x86_64/two'],
    ])
    expect(over).toMatchObject({ without: [], pending: 0 })
    const one = KernelType.parse(await (await ask(`${at('a')}/types/task_struct`)).json())
    expect(over.layouts[0]?.layout).toBe(one.layout)
  })

  it('of some of them', async () => {
    const over = TypeOverKernels.parse(await (await ask('/v1/types/task_struct?version=bookworm&q=a')).json())
    expect(over.layouts.map(({ kernels }) => kernels)).toEqual([['debian/12/x86_64/a']])
  })

  it('is not waited for: what is known is told, the rest is looked at meanwhile, and nobody else waits', async () => {
    await withTestStore(async (other) => {
      for (let i = 0; i < 12; i++) {
        const btf = tinyKernel(4, 15_000 + i * 7)
        await addKernel(other, { kernel: { release: `k${i}` }, btf, layout: `layout ${i}` })
      }
      const own = createHub({ ...other, log: silentLog, typeWaitMs: 1 })
      const app = createApp(own)
      const over = async (): Promise<TypeOverKernels> =>
        TypeOverKernels.parse(await (await app.request('/v1/types/task_struct')).json())
      const first = await app.request('/v1/types/task_struct')
      expect([first.status, first.headers.get('retry-after')]).toEqual([200, '2'])
      expect(TypeOverKernels.parse(await first.json()).pending).toBeGreaterThan(0)
      const before = performance.eventLoopUtilization()
      while ((await over()).pending > 0) await sleep(20)
      expect(performance.eventLoopUtilization(before).utilization).toBeLessThan(0.7)
      expect((await over()).layouts[0]?.kernels).toHaveLength(12)
      await own.types.close()
    })
  })

  it('of a kernel whose blob is damaged is said to be unknown, and nothing hangs', async () => {
    await withTestStore(async (other) => {
      const build = await addKernel(other, { kernel: { release: 'bad' }, btf: tinyKernel(4) })
      const { digest } = build.btf
      const path = join(other.dataDir, 'blobs-v1/sha256', digest.slice(0, 2), digest.slice(2, 4), digest)
      const bytes = await readFile(path)
      bytes[100] = (bytes[100] as number) ^ 1
      await chmod(path, 0o600)
      await writeFile(path, bytes)
      const own = createHub({ ...other, log: silentLog, typeWaitMs: 60_000 })
      const app = createApp(own)
      for (let i = 0; i < 2; i++) expect((await app.request('/v1/types/task_struct')).status).toBe(503)
      await own.types.close()
      expect((await app.request('/v1/types/task_struct')).status).toBe(503)
    })
  })
})
