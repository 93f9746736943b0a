import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { decodeCompact } from '../minimize/index.ts'
import { compileBpf, hasClang, kernelBtf } from '../test/helpers/clang-bpf.ts'
import { addKernel, addModule, addTool } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { CheckAnswer, Problem } from './api.ts'
import { type RunningRegistry, startRegistry } from './server.ts'

/** Kernels before 5.8 have no `start_boottime`; those of fedora have no BTF of their own. */
const OLD = 'struct task { int pid; int real_start_time; }; struct task a;'
const NEW = 'struct task { int flags; int pid; int start_boottime; }; struct task a;'
const KERNELS: readonly (readonly [path: string, source: string])[] = [
  ['debian/11/x86_64/5.6.0-1-amd64', OLD],
  ['debian/11/x86_64/5.10.0-1-amd64', NEW],
  ['debian/11/x86_64/5.10.0-2-amd64', NEW],
  ['debian/11/aarch64/5.10.0-2-arm64', NEW],
  ['fedora/31/x86_64/5.6.6-300.fc31.x86_64', OLD],
]

const PROGRAMS = `
struct task { int pid; int start_boottime; } CORE;
SEC("raw_tp/a") int plain(struct task *t) { return t->pid; }
SEC("raw_tp/a") int young(struct task *t) { return t->start_boottime; }
SEC("raw_tp/a") int careful(struct task *t)
{
  return field_exists(t->start_boottime) ? t->start_boottime : 0;
}
SEC("fentry/a") int traced(void *ctx) { return 0; }
`

describe.skipIf(!hasClang)('questions about all kernels (skipped without clang for BPF)', () => {
  let store: TestStore
  let hub: RunningRegistry
  let object: Uint8Array
  let dir: string

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'btfhub-test-'))
    store = await openTestStore()
    for (const [path, source] of KERNELS) {
      const [distro = '', version = '', arch, release = ''] = path.split('/')
      await addKernel(store, {
        kernel: { distro, version, arch: arch === 'aarch64' ? 'aarch64' : 'x86_64', release },
        btf: kernelBtf(source),
        layout: source,
        provenance: { origin: distro === 'fedora' ? 'dwarf' : 'embedded' },
      })
    }
    object = compileBpf(PROGRAMS)
    await addTool(store, 'tasks', '1.0', object)
    hub = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
  })
  afterAll(async () => {
    await hub.stop()
    await store.cleanUp()
    rmSync(dir, { recursive: true })
  })

  const post = (path: string, bytes: Uint8Array = object, url = hub.url): Promise<Response> => {
    const body = new FormData()
    body.append('object', new Blob([new Uint8Array(bytes)]), 'tasks.bpf.o')
    return fetch(url + path, { method: 'POST', body, signal: AbortSignal.timeout(30_000) })
  }
  const bytesOf = async (response: Response): Promise<Uint8Array> =>
    new Uint8Array(await response.arrayBuffer())
  const problemOf = async (response: Response): Promise<string> =>
    `${response.status} ${Problem.parse(await response.json()).code}`

  describe('POST /v1/check', () => {
    it('tells on which kernels which program would not load, and why', async () => {
      const response = await post('/v1/check')
      expect(response.status).toBe(200)
      expect(response.headers.get('cache-control')).toBe('no-store')
      const answer = CheckAnswer.parse(await response.json())
      expect(answer.kernels).toEqual([
        'debian/11/aarch64/5.10.0-2-arm64',
        'debian/11/x86_64/5.6.0-1-amd64',
        'debian/11/x86_64/5.10.0-1-amd64',
        'debian/11/x86_64/5.10.0-2-amd64',
        'fedora/31/x86_64/5.6.6-300.fc31.x86_64',
      ])
      const counts = answer.programs.map(({ program, loads, guarded, fails }) => [
        program,
        loads,
        guarded,
        fails,
      ])
      expect(counts).toEqual([
        ['traced', 4, 0, 1],
        ['plain', 5, 0, 0],
        ['young', 3, 0, 2],
        ['careful', 5, 2, 0],
      ])
      const told = answer.findings.map(({ subject, effect, programs, kernels }) => [
        subject,
        effect,
        programs,
        kernels,
      ])
      expect(told).toEqual([
        ['fentry', 'fails', ['traced'], [[4, 4]]],
        [
          'task.start_boottime',
          'fails',
          ['young'],
          [
            [1, 1],
            [4, 4],
          ],
        ],
        [
          'task.start_boottime',
          'guarded',
          ['careful'],
          [
            [1, 1],
            [4, 4],
          ],
        ],
      ])
      expect(answer.findings[1]?.text).toBe(
        'task.start_boottime missing before 5.10: program young will not load',
      )
      expect(answer.kernel_only).toEqual([{ object: 'tasks.bpf.o', name: 'traced', what: 'fentry' }])
    })

    it('names the module that has a missing type', async () => {
      const other = await openTestStore()
      const kernel = { distro: 'debian', version: '12', arch: 'x86_64', release: '6.1.0-50-amd64' } as const
      const build = await addKernel(other, { kernel, btf: kernelBtf(NEW) })
      await addModule(other, build, { name: 'nf_conntrack', struct: 'nf_conn' })
      const server = await startRegistry({ ...other, log: silentLog }, { host: '127.0.0.1', port: 0 })
      const tracker = compileBpf(`struct nf_conn { int mark; } CORE; struct nobody { int x; } CORE;
        SEC("raw_tp/a") int p(struct nf_conn *c) { return c->mark; }
        SEC("raw_tp/a") int q(struct nobody *n) { return n->x; }`)
      try {
        const answer = CheckAnswer.parse(await (await post('/v1/check', tracker, server.url)).json())
        expect(answer.findings.map(({ subject, modules, text }) => [subject, modules, text])).toEqual([
          [
            'nf_conn',
            ['nf_conntrack'],
            'nf_conn missing on debian 12: program p will not load (a type of module nf_conntrack: needs merged BTF)',
          ],
          ['nobody', undefined, 'nobody missing on debian 12: program q will not load'],
        ])
      } finally {
        await server.stop()
        await other.cleanUp()
      }
    })

    it('looks at those kernels only that it is asked about', async () => {
      const answer = CheckAnswer.parse(await (await post('/v1/check?distro=Debian&arch=arm64')).json())
      expect(answer.kernels).toEqual(['debian/11/aarch64/5.10.0-2-arm64'])
      expect(answer.findings).toEqual([])
    })

    it.each<[string, string, () => Uint8Array, string]>([
      ['no kernels', '?distro=none', () => object, '404 NOT_FOUND'],
      ['an unknown architecture', '?arch=vax', () => object, '400 BAD_REQUEST'],
      ['an unknown parameter', '?release=1', () => object, '400 BAD_REQUEST'],
      ['no object', '', () => new Uint8Array(100), '422 TOOL_UNFIT'],
      ['half an object', '', () => object.subarray(0, object.length / 2), '422 TOOL_UNFIT'],
    ])('refuses %s', async (_, query, bytes, expected) => {
      expect(await problemOf(await post(`/v1/check${query}`, bytes()))).toBe(expected)
    })

    it('answers damaged objects with what is wrong, and others as before', async () => {
      for (let i = 0; i < 40; i++) {
        const damaged = new Uint8Array(object)
        // Spread over the whole file, each another bit.
        for (let k = 0; k < 3; k++) damaged[(i * 7919 + k * 104_729) % damaged.length]! ^= 1 << ((i + k) % 8)
        const [checked, cut] = await Promise.all([
          post('/v1/check?arch=arm64', damaged),
          post('/v1/minimize?release=5.10.0-1-amd64', damaged),
        ])
        expect([200, 422]).toContain(checked.status)
        expect([200, 422]).toContain(cut.status)
      }
      expect((await post('/v1/check?arch=arm64')).status).toBe(200)
    })
  })

  describe('bundles', () => {
    it('have the min BTF of each kernel, for a tool as for its objects', async () => {
      const response = await fetch(`${hub.url}/v1/tools/tasks/bundle?layout=compact`)
      expect(response.headers.get('content-disposition')).toBe(
        'attachment; filename="tasks-1.0-compact.btfs"',
      )
      expect(response.headers.get('btfhub-left-out')).toBe('0')
      const bundle = await bytesOf(response)
      const items = decodeCompact(bundle)
      expect(items.map(({ kernel }) => kernel.release).sort()).toEqual(
        KERNELS.map(([path]) => path.split('/')[3]).sort(),
      )
      for (const { kernel, bytes } of items) {
        const { distro, version, arch, release } = kernel
        const min = await fetch(
          `${hub.url}/v1/min/tasks/${release}?distro=${distro}&version=${version}&arch=${arch}`,
        )
        expect(bytes).toEqual(await bytesOf(min))
      }
      const sent = await post('/v1/minimize?all=1&layout=compact')
      expect(sent.headers.get('cache-control')).toBe('no-store')
      expect(await bytesOf(sent)).toEqual(bundle)
    })

    it('are tars that tar unpacks, the same each time, and only of what is asked for', async () => {
      const path = '/v1/tools/tasks@1.0/bundle?layout=tree&distro=debian&version=11'
      const response = await fetch(hub.url + path)
      expect(response.headers.get('content-type')).toBe('application/gzip')
      const tag = response.headers.get('etag') ?? ''
      const file = join(dir, 'tree.tar.gz')
      writeFileSync(file, await bytesOf(response))
      execFileSync('tar', ['-xzf', file, '-C', dir])
      const min = await fetch(`${hub.url}/v1/min/tasks/5.6.0-1-amd64`)
      expect(new Uint8Array(readFileSync(join(dir, 'debian/11/x86_64/5.6.0-1-amd64.btf')))).toEqual(
        await bytesOf(min),
      )
      expect(execFileSync('tar', ['-tzf', file], { encoding: 'utf8' })).not.toContain('fedora')
      const again = await fetch(hub.url + path, { headers: { 'if-none-match': tag } })
      expect(again.status).toBe(304)
    })

    it.each<[string, () => Promise<Response>, string]>([
      ['an unknown tool', () => fetch(`${hub.url}/v1/tools/none/bundle?layout=tree`), '404 NOT_FOUND'],
      ['no layout', () => fetch(`${hub.url}/v1/tools/tasks/bundle`), '400 BAD_REQUEST'],
      ['an unknown layout', () => fetch(`${hub.url}/v1/tools/tasks/bundle?layout=x`), '400 BAD_REQUEST'],
      ['no kernels', () => fetch(`${hub.url}/v1/tools/tasks/bundle?layout=tree&distro=x`), '404 NOT_FOUND'],
      ['all kernels without a layout', () => post('/v1/minimize?all=1'), '400 BAD_REQUEST'],
      ['one kernel with a layout', () => post('/v1/minimize?layout=tree&release=x'), '400 BAD_REQUEST'],
      ['one of all', () => post('/v1/minimize?all=1&layout=tree&release=x'), '400 BAD_REQUEST'],
      ['no object', () => post('/v1/minimize?all=1&layout=tree', new Uint8Array(9)), '422 TOOL_UNFIT'],
    ])('refuses %s', async (_, ask, expected) => {
      expect(await problemOf(await ask())).toBe(expected)
    })
  })

  it('what takes long goes on while who asks comes again', async () => {
    const slow = await startRegistry(
      { ...store, log: silentLog, longJobs: { waitMs: 0 } },
      { host: '127.0.0.1', port: 0 },
    )
    try {
      const first = await post('/v1/check', object, slow.url)
      expect(first.headers.get('retry-after')).toBe('5')
      expect(await problemOf(first)).toBe('503 PENDING')
      await expect
        .poll(async () => (await post('/v1/check', object, slow.url)).status, { timeout: 30_000 })
        .toBe(200)
      const ask = (): Promise<Response> => fetch(`${slow.url}/v1/tools/tasks/bundle?layout=bcc`)
      await expect.poll(async () => (await ask()).status, { timeout: 30_000 }).toBe(200)
    } finally {
      await slow.stop()
    }
  })
})
