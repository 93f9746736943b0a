import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { frameBtf } from '../btf/encode.ts'
import { layoutDigest, mergeBtf, parseBtf } from '../btf/index.ts'
import { Kind, makeInfo } from '../btf/wire.ts'
import { sha256Of } from '../core/digest.ts'
import { openStore } from '../store/index.ts'
import { btfhub, runCli, type RunningServer, serveCli } from './helpers/cli.ts'
import { type FaultProxy, startFaultProxy } from './helpers/fault-proxy.ts'
import { plausibleKernel } from './helpers/plausible-kernel.ts'
import { compileTool } from './helpers/registry.ts'
import { sampleBuild } from './helpers/store.ts'

const release = '6.1.0-1-amd64'
const buildId = 'ab'.repeat(20)
const btf = plausibleKernel(8)
const base = parseBtf(btf)
const veth = frameBtf(
  Uint32Array.of(base.strings.end, makeInfo(Kind.FLOAT, 0, false), 8),
  Buffer.from('double\0'),
  base.endian,
)
const merged = mergeBtf(base, [parseBtf(veth, { base })])
const x86 = ['--arch', 'x86_64', '--force']

interface Index {
  readonly version: number
  readonly builds: number
  readonly release_shards: readonly string[]
}

let dir: string
let data: string
let hub: RunningServer
let proxy: FaultProxy
let key: string

/** A hub with one kernel, its one module, and a tool. */
async function fill(dataDir: string): Promise<void> {
  const store = await openStore(dataDir)
  const kernel = { distro: 'debian', version: '12', arch: 'x86_64', release } as const
  await store.blobs.put(btf)
  const { id } = await store.catalog.addBuild({
    ...sampleBuild({ kernel, btf, provenance: { buildId } }),
    layoutDigest: layoutDigest(base),
  })
  await store.catalog.putModules(id, {
    modules: [{ name: 'veth', origin: 'embedded', btf: await store.blobs.put(veth) }],
    merged: await store.blobs.put(merged),
    mergedLayout: layoutDigest(parseBtf(merged)),
  })
  await store.close()
  await writeFile(join(dir, 'pids.bpf.o'), compileTool(['pid']))
  await btfhub(['tool', 'add', 'pids@1', join(dir, 'pids.bpf.o'), '--data', dataDir])
}

async function indexText(url: string): Promise<string | null> {
  const answer = await fetch(`${url}/v1/index.json`)
  const text = await answer.text()
  return answer.status === 200 ? text : null
}

const parse = (text: string): Index => JSON.parse((JSON.parse(text) as { payload: string }).payload) as Index

/** The index, once it is as it is wanted. */
async function indexWhere(url: string, isWanted: (index: Index) => boolean = () => true): Promise<Index> {
  for (;;) {
    const text = await indexText(url)
    if (text !== null && isWanted(parse(text))) return parse(text)
    await sleep(50)
  }
}

/** Exit code of a `get` with the key and a new cache, or that one; what it got is at `got`. */
async function get(url: string, args: readonly string[], cache?: string): Promise<number | null> {
  const own = cache ?? (await mkdtemp(join(dir, 'cache-')))
  const to = ['--hub', url, '--key', key, '--cache', own, '-o', join(dir, 'got')]
  return (await runCli(['get', ...args, ...to])).code
}

const got = async (): Promise<string> => sha256Of(await readFile(join(dir, 'got')))

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'btfhub-signed-'))
  data = join(dir, 'hub')
  await fill(data)
  key = await btfhub(['key', 'generate', '--data', data])
  hub = await serveCli(data)
  proxy = await startFaultProxy(hub.url)
  await indexWhere(hub.url)
})

afterAll(async () => {
  await proxy.close()
  await hub.stop()
  await rm(dir, { recursive: true })
})

describe('a hub that runs and has a key', { timeout: 120_000 }, () => {
  it('is verified by get: full BTF, by build-id, merged, a module, min BTF', async () => {
    const min = sha256Of(
      new Uint8Array(await (await fetch(`${hub.url}/v1/min/pids/${release}`)).arrayBuffer()),
    )
    for (const [args, digest] of [
      [[release, ...x86], sha256Of(btf)],
      [['--build-id', buildId], sha256Of(btf)],
      [[release, ...x86, '--variant', 'merged'], sha256Of(merged)],
      [[release, ...x86, '--module', 'veth'], sha256Of(veth)],
      [[release, ...x86, '--tool', 'pids'], min],
    ] as const) {
      expect([args, await get(hub.url, args)]).toEqual([args, 0])
      expect([args, await got()]).toEqual([args, digest])
    }
    expect(await get(hub.url, ['9.9.9', ...x86])).toBe(3)
  })

  it('tells caches to ask for the index each time, and never again for its documents', async () => {
    const answer = await fetch(`${hub.url}/v1/index.json`)
    expect(answer.headers.get('cache-control')).toBe('no-cache')
    const etag = answer.headers.get('etag') ?? ''
    const [shard] = parse(await answer.text()).release_shards
    const again = await fetch(`${hub.url}/v1/index.json`, { headers: { 'if-none-match': etag } })
    expect(again.status).toBe(304)
    const document = await fetch(`${hub.url}/v1/blobs/sha256/${shard}`)
    expect(document.headers.get('cache-control')).toContain('immutable')
    expect(document.headers.get('content-encoding')).toBe('gzip')
    expect(sha256Of(new Uint8Array(await document.arrayBuffer()))).toBe(shard)
  })

  it.each([
    ['index', /index\.json$/, 0.3],
    ['signature', /index\.json$/, 0.99],
    ['shard', 'shard', 0.5],
    ['blob', new RegExp(`sha256/${sha256Of(btf)}$`), 0.5],
  ] as const)('through a proxy that flips a byte in the %s gives nothing', async (_, where, part) => {
    const [shard] = parse((await indexText(hub.url)) ?? '').release_shards
    proxy.infect({
      on: where === 'shard' ? new RegExp(`sha256/${shard}$`) : where,
      fault({ headers, body, res }) {
        const bad = Buffer.from(body)
        const at = Math.floor(bad.length * part)
        bad[at] = (bad[at] as number) ^ 1
        res.writeHead(200, { ...headers, 'content-length': bad.length }).end(bad)
      },
    })
    await rm(join(dir, 'got'), { force: true })
    expect(await get(proxy.url, [release, ...x86])).toBe(5)
    expect(proxy.hits()).toBeGreaterThan(0)
    await expect(got()).rejects.toThrow('ENOENT')
    proxy.heal()
    expect(await get(proxy.url, [release, ...x86])).toBe(0)
  })

  it('follows what is taken in meanwhile, and an older index is refused from then on', async () => {
    const old = (await indexText(hub.url)) ?? ''
    const cache = await mkdtemp(join(dir, 'cache-'))
    const file = join(dir, 'new.btf')
    await writeFile(file, plausibleKernel(16))
    const as = 'debian/12/x86_64/6.1.0-2-amd64'
    await btfhub(['import', file, '--as', as, '--data', data])
    // Its index may not have it yet: then it is asked for it.
    expect(await get(hub.url, ['6.1.0-2-amd64', ...x86], cache)).toBe(0)
    expect(await got()).toBe(sha256Of(plausibleKernel(16)))
    const now = await indexWhere(hub.url, ({ builds }) => builds === 2)
    expect(now.version).toBeGreaterThan(parse(old).version)

    expect(await get(proxy.url, [release, ...x86], cache)).toBe(0)
    proxy.infect({
      on: /index\.json$/,
      fault: ({ headers, res }) =>
        void res.writeHead(200, { ...headers, 'content-length': Buffer.byteLength(old) }).end(old),
    })
    expect(await get(proxy.url, [release, ...x86], cache)).toBe(5)
    proxy.heal()
  })

  it('that is another hub’s upstream gives what its signature has, and nothing through a proxy that lies', async () => {
    const behind = (url: string, name: string): Promise<RunningServer> =>
      serveCli(join(dir, name), '--upstream', url, '--upstream-key', key, '--wait', '60s')
    const front = await behind(proxy.url, 'front')
    const [shard] = parse((await indexText(hub.url)) ?? '').release_shards
    proxy.infect({
      on: new RegExp(`sha256/${shard}$`),
      fault({ headers, body, res }) {
        res.writeHead(200, headers).end(Buffer.from(body.toString().replace(buildId, 'ba'.repeat(20))))
      },
    })
    try {
      const refused = await fetch(`${front.url}/v1/btf/${release}`)
      expect([refused.status, proxy.hits()]).toEqual([503, 1])
      proxy.heal()
      let given = refused
      // What an upstream failed at is remembered for a while.
      for (; given.status !== 200; await sleep(200)) given = await fetch(`${front.url}/v1/btf/${release}`)
      expect(sha256Of(new Uint8Array(await given.arrayBuffer()))).toBe(sha256Of(btf))
    } finally {
      proxy.heal()
      await front.stop()
    }
  })

  it('is imported, its modules too; again, that is said to be nothing new', async () => {
    const into = join(dir, 'imported')
    const first = await runCli(['import', hub.url, '--key', key, '--data', into])
    expect([first.code, first.stderr]).toEqual([0, expect.stringContaining('0 known already')])
    const second = await runCli(['import', hub.url, '--key', key, '--data', into])
    expect([second.code, second.stderr]).toEqual([0, expect.stringContaining('0 imported')])
    const store = await openStore(into)
    const [build] = await store.catalog.builds({ release })
    const modules = build === undefined ? null : await store.catalog.modules(build.id)
    await store.close()
    expect(modules?.merged.digest).toBe(sha256Of(merged))
    expect(modules?.modules.map(({ btf: { digest } }) => digest)).toEqual([sha256Of(veth)])
  })

  it('keeps its version over a restart, and one that was killed goes on', async () => {
    const { version } = await indexWhere(hub.url)
    process.kill(hub.pid, 'SIGKILL')
    await hub.stop()
    hub = await serveCli(data)
    expect((await indexWhere(hub.url)).version).toBe(version)
    expect(await get(hub.url, [release, ...x86])).toBe(0)
    await proxy.close()
    proxy = await startFaultProxy(hub.url)
  })
})

const LIFETIME_MS = 3000

it(
  'an index that has expired is refused, and a hub renews its own in time',
  { timeout: 120_000 },
  async () => {
    const brief = await serveCli(data, '--index-lifetime', `${LIFETIME_MS / 1000}s`, '--read-only')
    try {
      await indexWhere(brief.url)
      const text = (await indexText(brief.url)) ?? ''
      const { version } = parse(text)
      await indexWhere(brief.url, (index) => index.version > version)
      await sleep(LIFETIME_MS)
      const late = await startFaultProxy(brief.url)
      late.infect({
        on: /index\.json$/,
        fault: ({ headers, res }) =>
          void res.writeHead(200, { ...headers, 'content-length': Buffer.byteLength(text) }).end(text),
      })
      expect(await get(late.url, [release, ...x86])).toBe(5)
      await late.close()
    } finally {
      await brief.stop()
    }
  },
)

it('a hub without a key says how it gets one, and signs from then on', { timeout: 120_000 }, async () => {
  const plainData = join(dir, 'plain')
  await btfhub(['import', join(dir, 'new.btf'), '--as', `debian/12/x86_64/${release}`, '--data', plainData])
  const plain = await serveCli(plainData)
  try {
    const answer = await fetch(`${plain.url}/v1/index.json`)
    expect(answer.status).toBe(404)
    expect(answer.headers.get('content-type')).toContain('problem+json')
    expect(await answer.json()).toMatchObject({
      code: 'NOT_FOUND',
      detail: expect.stringContaining('btfhub key generate') as string,
    })
    expect(await get(plain.url, [release, ...x86])).toBe(5)
    const own = await btfhub(['key', 'generate', '--data', plainData])
    await indexWhere(plain.url)
    const cache = ['--cache', await mkdtemp(join(dir, 'cache-'))]
    const args = ['get', release, ...x86, '--hub', plain.url, '-o', join(dir, 'got')]
    await btfhub([...args, '--key', own, ...cache])
    expect(await get(plain.url, [release, ...x86])).toBe(5)
  } finally {
    await plain.stop()
  }
})
