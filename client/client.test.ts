import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, request, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { Agent } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { rawBtf } from '../btf/index.ts'
import { sha256Of } from '../core/digest.ts'
import { silentLog } from '../core/log.ts'
import { type RunningRegistry, startRegistry } from '../registry/index.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { type Client, type ClientOptions, createClient } from './client.ts'
import type { ClientErrorCode } from './errors.ts'
import { FORMS } from './forms.ts'
import { get } from './get.ts'
import { type Host, readHost } from './host.ts'

let store: TestStore
let registry: RunningRegistry
let dir: string
const open: { close(): unknown }[] = []

const release = '5.4.0-80-generic'
const focal = { distro: 'ubuntu', version: '20.04', arch: 'aarch64', release } as const
const bionic = { ...focal, version: '18.04' } as const
const bytes = { focal: tinyKernel(12), bionic: tinyKernel(16) }
const focalId = 'f0'.repeat(20)

beforeAll(async () => {
  store = await openTestStore()
  await addKernel(store, { kernel: focal, btf: bytes.focal, provenance: { buildId: focalId } })
  await addKernel(store, { kernel: bionic, btf: bytes.bionic })
  await addTool(store, 'both', '1.0', compileTool(['pid', 'tgid']))
  registry = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
})

afterAll(async () => {
  await registry.stop()
  await store.cleanUp()
  await rm(dir, { recursive: true })
})

afterEach(async () => {
  for (const thing of open.splice(0)) await thing.close()
})

let caches = 0
const newCache = (): string => join(dir, `cache-${caches++}`)

function clientOf(hubs: readonly string[], options: Partial<ClientOptions> = {}): Client {
  const timeouts = { backoffMs: 1, headersMs: 500, bodyMs: 500, connectMs: 500 }
  const client = createClient({ hubs, cacheDir: newCache(), timeouts, ...options })
  open.push(client)
  return client
}

/** A server that does what it is told, and its URL. */
async function serverOf(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.push({
    close() {
      server.closeAllConnections()
      server.close()
    },
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A hub that answers resolving rightly, and blobs as `blob` does. */
async function hubWithBlobs(blob: RequestListener): Promise<string> {
  return serverOf((incoming, outgoing) => {
    if (incoming.url?.startsWith('/v1/blobs/') === true) return blob(incoming, outgoing)
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const headers = { 'content-type': 'application/json' }
      void fetch(`${registry.url}/v1/resolve`, { method: 'POST', headers, body: Buffer.concat(chunks) })
        .then((answer) => answer.text())
        .then((text) => outgoing.end(text))
    })
  })
}

/** A port that nobody listens on. */
async function deadUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

function failsWith(code: ClientErrorCode): Error {
  return expect.objectContaining({ name: 'ClientError', code }) as Error
}

describe('fetching', () => {
  it('gives a file with the very BTF, from the cache the second time', async () => {
    const client = clientOf([registry.url])
    const first = await client.fetchBtf(focal)
    expect(first).toMatchObject({
      kernel: 'ubuntu/20.04/aarch64/5.4.0-80-generic',
      match: 'release',
      from: 'hub',
    })
    expect(new Uint8Array(await readFile(first.path))).toEqual(bytes.focal)
    expect(first.digest).toBe(sha256Of(bytes.focal))
    expect(await client.fetchBtf({ buildId: focalId })).toMatchObject({
      path: first.path,
      from: 'cache',
      match: 'build-id',
    })
  })

  it('gives min BTF', async () => {
    const { path } = await clientOf([registry.url]).fetchBtf({ ...focal, tool: 'both' })
    expect((await stat(path)).size).toBeLessThan(400)
  })

  it.each(FORMS)('gives it as %s, which holds the very BTF', async (form) => {
    const client = clientOf([registry.url])
    const { path, digest } = await client.fetchForm(focal, form)
    expect(digest).toBe(sha256Of(bytes.focal))
    if (form === 'elf') expect(new Uint8Array(rawBtf(await readFile(path)))).toEqual(bytes.focal)
    const min = await client.fetchForm({ ...focal, tool: 'both' }, form)
    expect(min.digest).not.toBe(digest)
  })

  it('gives a guess only to who asks for one, once every hub has it not, and remembers none', async () => {
    const series = { series: 'ubuntu/20.04/5.4', flavour: 'generic' }
    const padded = { 79: tinyKernel(20, 1), 83: tinyKernel(20, 2) }
    for (const [number, btf] of Object.entries(padded)) {
      const kernel = { ...focal, arch: 'x86_64', release: `9.4.0-${number}-generic` } as const
      await addKernel(store, { kernel, btf, ...series })
    }
    const query = { ...focal, arch: 'x86_64', release: '9.4.0-81-generic', tool: 'both' }
    const cacheDir = newCache()
    const client = clientOf([registry.url], { cacheDir })
    await expect(client.fetchBtf(query)).rejects.toThrow(failsWith('NOT_FOUND'))
    const guess = await client.fetchBtf({ ...query, predict: true })
    expect(guess).toMatchObject({
      match: 'predicted',
      kernel: 'ubuntu/20.04/x86_64/9.4.0-79-generic',
      predictedFrom: ['ubuntu/20.04/x86_64/9.4.0-79-generic', 'ubuntu/20.04/x86_64/9.4.0-83-generic'],
    })
    const dead = clientOf([await deadUrl()], { cacheDir })
    await expect(dead.fetchBtf({ ...query, predict: true })).rejects.toThrow(failsWith('UNAVAILABLE'))
    const ill = clientOf([await deadUrl(), registry.url])
    await expect(ill.fetchBtf({ ...query, predict: true })).rejects.toThrow(failsWith('UNAVAILABLE'))
    const other = await addKernel(store, {
      kernel: { ...focal, arch: 'x86_64', release: query.release },
      btf: tinyKernel(24),
      ...series,
    })
    expect(await client.fetchBtf({ ...query, predict: true })).toMatchObject({
      match: 'release',
      kernel: `ubuntu/20.04/x86_64/${other.kernel.release}`,
    })
  })

  it('takes no guess for which it did not ask', async () => {
    const lying = await serverOf((_, outgoing) => {
      void fetch(`${registry.url}/v1/resolve`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(focal),
      })
        .then((answer) => answer.json())
        .then((answer) => outgoing.end(JSON.stringify({ ...(answer as object), match: 'predicted' })))
    })
    await expect(clientOf([lying]).fetchBtf(focal)).rejects.toThrow(failsWith('UNVERIFIED'))
  })

  it('many at once, of several processes and clients, do not collide', async () => {
    const cacheDir = newCache()
    const all = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        clientOf([registry.url], { cacheDir }).fetchBtf(i % 2 === 0 ? focal : bionic),
      ),
    )
    expect(new Set(all.map((got) => got.path)).size).toBe(2)
    for (const got of all) expect(sha256Of(await readFile(got.path))).toBe(got.digest)
    const left = (await readdir(cacheDir, { recursive: true })).filter((name) => name.includes('.tmp'))
    expect(left).toEqual([])
  })
})

describe('what a hub says no to', () => {
  it.each([
    ['what is not there', { release: '1.2.3' }, 'NOT_FOUND'],
    ['several that match', { release, arch: 'arm64' }, 'AMBIGUOUS'],
    ['facts that exclude each other', { release: 'x', buildId: focalId }, 'BAD_REQUEST'],
    ['a tool that is not there', { ...focal, tool: 'nope' }, 'NOT_FOUND'],
    ['nothing asked', {}, 'BAD_REQUEST'],
  ] as const)('%s', async (_, query, code) => {
    await expect(clientOf([registry.url]).fetchBtf(query)).rejects.toThrow(failsWith(code))
  })

  it('comes with the choices or what is near', async () => {
    const client = clientOf([registry.url])
    await expect(client.fetchBtf({ release, arch: 'arm64' })).rejects.toMatchObject({
      choices: [{ kernel: { version: '18.04' } }, { kernel: { version: '20.04' } }],
    })
    await expect(client.fetchBtf({ release: '5.4.0-81-generic' })).rejects.toMatchObject({
      nearest: [{ release }, { release }],
    })
  })
})

describe('several hubs', () => {
  it('the next is asked where one is dead, ill, strange or has it not', async () => {
    const hubs = [
      await deadUrl(),
      await serverOf((_, outgoing) => void outgoing.writeHead(500).end('boom')),
      await serverOf((_, outgoing) => void outgoing.end('<html>please log in</html>')),
      await serverOf((_, outgoing) => void outgoing.end('{"match":"release"}')),
      await serverOf(
        (_, outgoing) => void outgoing.writeHead(301, { location: 'https://elsewhere.example/' }).end(),
      ),
      await serverOf((_, outgoing) => void outgoing.writeHead(404).end('no such page')),
      await serverOf(() => {}),
      registry.url,
    ]
    const warnings: string[] = []
    const log = { warn: (text: string) => warnings.push(text) }
    const got = await clientOf(hubs, { log }).fetchBtf(focal)
    expect(got.hub).toBe(registry.url)
    expect(warnings).toHaveLength(7)
  })

  it('"not there" is only said where all said so', async () => {
    const query = { release: '1.2.3' }
    await expect(clientOf([registry.url, registry.url]).fetchBtf(query)).rejects.toThrow(
      failsWith('NOT_FOUND'),
    )
    await expect(clientOf([registry.url, await deadUrl()]).fetchBtf(query)).rejects.toThrow(
      failsWith('UNAVAILABLE'),
    )
    await expect(clientOf([await deadUrl(), registry.url]).fetchBtf(query)).rejects.toThrow(
      failsWith('UNAVAILABLE'),
    )
  })

  it('nobody else is asked where one says that several match', async () => {
    let asked = 0
    const second = await serverOf((_, outgoing) => {
      asked++
      outgoing.end()
    })
    const client = clientOf([registry.url, second])
    await expect(client.fetchBtf({ release, arch: 'arm64' })).rejects.toThrow(failsWith('AMBIGUOUS'))
    expect(asked).toBe(0)
  })

  it('a hub that is busy is asked again', async () => {
    let asked = 0
    const busy = await serverOf((_, outgoing) => {
      if (++asked < 3) return void outgoing.writeHead(503, { 'retry-after': '0' }).end()
      outgoing.writeHead(404, { 'content-type': 'application/problem+json' })
      const problem = { type: 'a', title: 'a', status: 404, detail: 'no', instance: '/', code: 'NOT_FOUND' }
      outgoing.end(JSON.stringify(problem))
    })
    await expect(clientOf([busy]).fetchBtf(focal)).rejects.toThrow(failsWith('NOT_FOUND'))
    expect(asked).toBe(3)
  })

  it.each(['ftp://a', 'nonsense', ''])('%s is no hub', (url) => {
    expect(() => clientOf([url])).toThrow(failsWith('BAD_REQUEST'))
  })
})

describe('what is not what it should be', () => {
  const wrong = Buffer.from(bytes.focal)
  wrong[100] = 0xff ^ (wrong[100] ?? 0)

  it.each<[string, RequestListener, ClientErrorCode]>([
    ['a flipped byte', (_, outgoing) => void outgoing.end(wrong), 'UNVERIFIED'],
    ['another BTF of the same size', (_, outgoing) => void outgoing.end(bytes.bionic), 'UNVERIFIED'],
    [
      'gzip that is none',
      (_, outgoing) => void outgoing.writeHead(200, { 'content-encoding': 'gzip' }).end(bytes.focal),
      'UNVERIFIED',
    ],
    [
      'a gzip bomb',
      (_, outgoing) => {
        outgoing.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(4_000_000)))
      },
      'UNVERIFIED',
    ],
    ['too little', (_, outgoing) => void outgoing.end(bytes.focal.subarray(1)), 'UNAVAILABLE'],
    [
      'too much',
      (_, outgoing) => void outgoing.end(Buffer.concat([bytes.focal, bytes.focal])),
      'UNAVAILABLE',
    ],
    [
      'a body that breaks off',
      (_, outgoing) => {
        outgoing.writeHead(200, { 'content-length': bytes.focal.byteLength })
        outgoing.write(bytes.focal.subarray(0, 100))
        setTimeout(() => outgoing.destroy(), 5)
      },
      'UNAVAILABLE',
    ],
    [
      'a body that stops',
      (_, outgoing) => {
        outgoing.writeHead(200, { 'content-length': bytes.focal.byteLength })
        outgoing.write(bytes.focal.subarray(0, 100))
      },
      'UNAVAILABLE',
    ],
  ])('%s: no path, nothing kept, and another hub may do better', async (_, blob, code) => {
    const hub = await hubWithBlobs(blob)
    const cacheDir = newCache()
    await expect(clientOf([hub], { cacheDir }).fetchBtf(focal)).rejects.toThrow(failsWith(code))
    const kept = await readdir(cacheDir, { recursive: true }).catch(() => [])
    expect(kept.filter((name) => name.endsWith('.btf'))).toEqual([])
    const got = await clientOf([hub, registry.url]).fetchBtf(focal)
    expect([got.hub, got.digest]).toEqual([registry.url, sha256Of(bytes.focal)])
  })

  it('bytes with the right digest that are no BTF', async () => {
    const garbage = Buffer.from('this is no BTF, whatever the hub says of it')
    const hub = await serverOf((incoming, outgoing) => {
      if (incoming.url?.startsWith('/v1/blobs/') === true) return void outgoing.end(garbage)
      void fetch(`${registry.url}/v1/resolve`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(focal),
      })
        .then((answer) => answer.json() as Promise<{ btf: object }>)
        .then((answer) => {
          answer.btf = { digest: sha256Of(garbage), size_bytes: garbage.byteLength, url: '/' }
          outgoing.end(JSON.stringify(answer))
        })
    })
    await expect(clientOf([hub]).fetchBtf(focal)).rejects.toThrow(failsWith('UNVERIFIED'))
  })

  it('a file in the cache that somebody changed is fetched anew', async () => {
    const client = clientOf([registry.url])
    const { path } = await client.fetchBtf(focal)
    await writeFile(path, wrong)
    expect(await client.fetchBtf(focal)).toMatchObject({ path, from: 'hub' })
    expect(new Uint8Array(await readFile(path))).toEqual(bytes.focal)
  })

  it('a cache folder that cannot be written is an error, not a path', async () => {
    const file = join(dir, 'not-a-folder')
    await writeFile(file, '')
    await expect(clientOf([registry.url], { cacheDir: join(file, 'x') }).fetchBtf(focal)).rejects.toThrow(
      failsWith('FAILED'),
    )
  })
})

describe('offline', () => {
  it('gives what this hub said last time, verified again, and nothing else', async () => {
    const cacheDir = newCache()
    const own = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
    const client = clientOf([own.url], { cacheDir })
    const online = await client.fetchBtf(focal)
    await own.stop()
    const offline = await client.fetchBtf(focal)
    expect(offline).toEqual({ ...online, from: 'offline' })
    await expect(client.fetchBtf(bionic)).rejects.toThrow(failsWith('UNAVAILABLE'))
    const other = clientOf([await deadUrl()], { cacheDir })
    await expect(other.fetchBtf(focal)).rejects.toThrow(failsWith('UNAVAILABLE'))
    await writeFile(online.path, 'changed')
    await expect(client.fetchBtf(focal)).rejects.toThrow(failsWith('UNAVAILABLE'))
  })
})

describe('proxies', () => {
  /** What the environment says while `run` runs. */
  async function withProxy<T>(url: string, run: () => Promise<T>): Promise<T> {
    const before = { ...process.env }
    Object.assign(process.env, { http_proxy: url, https_proxy: url, no_proxy: '' })
    try {
      return await run()
    } finally {
      for (const name of ['http_proxy', 'https_proxy', 'no_proxy']) delete process.env[name]
      Object.assign(process.env, before)
    }
  }

  it('of the environment are used, as plain requests for plain HTTP', async () => {
    const seen: string[] = []
    const proxy = await serverOf((incoming, outgoing) => {
      seen.push(`${incoming.method} ${incoming.url}`)
      const { pathname } = new URL(incoming.url ?? '')
      const { method, headers } = incoming
      const onward = request(`${registry.url}${pathname}`, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(outgoing)
      })
      incoming.pipe(onward)
    })
    await withProxy(proxy, async () => {
      const got = await clientOf(['http://hub.example']).fetchBtf(focal)
      expect(got.digest).toBe(sha256Of(bytes.focal))
    })
    expect(seen[0]).toBe('POST http://hub.example/v1/resolve')
  })

  it.each([
    ['refuses', (socket: Duplex) => socket.end('HTTP/1.1 403 no\r\n\r\n')],
    ['hangs up', (socket: Duplex) => socket.destroy()],
    ['says nothing', () => {}],
  ])('that %s is a hub that cannot be asked, and does not keep anybody for ever', async (_, onConnect) => {
    const proxy = createServer().listen(0, '127.0.0.1')
    let tunnels = 0
    proxy.on('connect', (_request, socket) => {
      tunnels++
      socket.on('error', () => {})
      onConnect(socket)
    })
    await once(proxy, 'listening')
    open.push({ close: () => void proxy.close() })
    await withProxy(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, async () => {
      const timeouts = { tries: 1, connectMs: 100, headersMs: 100 }
      const client = clientOf(['https://hub.example'], { timeouts })
      await expect(client.fetchBtf(focal)).rejects.toThrow(failsWith('UNAVAILABLE'))
    })
    const before = tunnels
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(tunnels - before).toBeLessThan(3)
  })

  it('or any dispatcher is used', async () => {
    const dispatcher = new Agent()
    expect((await clientOf([registry.url], { dispatcher }).fetchBtf(focal)).digest).toBe(
      sha256Of(bytes.focal),
    )
    await dispatcher.close()
  })
})

it('stops when it is told to', async () => {
  const controller = new AbortController()
  const silent = await serverOf(() => {})
  const client = clientOf([silent], { signal: controller.signal, timeouts: { headersMs: 60_000 } })
  const asking = client.fetchBtf(focal)
  setTimeout(() => controller.abort(), 20)
  await expect(asking).rejects.toMatchObject({ name: 'AbortError' })
})

describe('get', () => {
  const host: Host = {
    release,
    arch: 'aarch64',
    banner: 'Linux version 5.4.0-80-generic (test@kernels.example) #1 SMP',
    buildId: focalId,
    osRelease: 'ID=alpine\nVERSION_ID=3.20\n',
    kernelBtf: null,
  }

  it("asks for this host's kernel by what names it exactly, in a container of another system too", async () => {
    const got = await get({}, { client: clientOf([registry.url]), host })
    expect(got).toMatchObject({
      from: 'hub',
      match: 'build-id',
      kernel: 'ubuntu/20.04/aarch64/5.4.0-80-generic',
    })
  })

  it("does not use this host's facts for another kernel", async () => {
    const client = clientOf([registry.url])
    const query = { release, arch: 'arm64', distro: 'ubuntu', version: 'bionic' }
    const got = await get(query, { client, host: { ...host, release: 'other' } })
    expect(got).toMatchObject({ match: 'release', kernel: 'ubuntu/18.04/aarch64/5.4.0-80-generic' })
    const byId = await get({ buildId: focalId }, { client, host: { ...host, buildId: null, arch: 'x86_64' } })
    expect(byId).toMatchObject({ match: 'build-id' })
  })

  it("gives the kernel's own BTF without asking anybody, unless forced", async () => {
    const kernelBtf = join(dir, 'vmlinux')
    await writeFile(kernelBtf, bytes.focal)
    const own = { ...host, kernelBtf }
    const nobody = clientOf([await deadUrl()])
    expect(await get({ tool: 'both' }, { client: nobody, host: own })).toMatchObject({
      from: 'kernel',
      path: kernelBtf,
    })
    await expect(get({ force: true }, { client: nobody, host: own })).rejects.toThrow(
      failsWith('UNAVAILABLE'),
    )
    await expect(get({ release: 'x' }, { client: nobody, host: own })).rejects.toThrow(
      failsWith('UNAVAILABLE'),
    )
  })

  it('writes it where it is told, or where loaders look', async () => {
    const client = clientOf([registry.url])
    const output = join(dir, 'out', 'x.btf')
    expect(await get({ output }, { client, host })).toMatchObject({ path: output })
    expect(new Uint8Array(await readFile(output))).toEqual(bytes.focal)
    const elf = await get({ install: true, format: 'elf' }, { client, host, root: dir })
    expect(elf.path).toBe(join(dir, `usr/lib/debug/boot/vmlinux-${release}`))
    expect(new Uint8Array(rawBtf(await readFile(elf.path)))).toEqual(bytes.focal)
    await expect(get({ install: true, format: 'xz' }, { client, host, root: dir })).rejects.toThrow(
      failsWith('BAD_REQUEST'),
    )
  })
})

describe('this host', () => {
  it('is read from its files', async () => {
    const root = join(dir, 'root')
    await mkdir(join(root, 'proc/sys/kernel'), { recursive: true })
    await mkdir(join(root, 'sys/kernel'), { recursive: true })
    await mkdir(join(root, 'etc'), { recursive: true })
    await writeFile(join(root, 'proc/sys/kernel/osrelease'), '1.2.3-x\n')
    await writeFile(join(root, 'proc/version'), 'Linux version 1.2.3-x (a@b)\n')
    await writeFile(join(root, 'etc/os-release'), 'ID=x\n')
    const xen = [4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, ...Buffer.from('Xen\0'), 1, 2, 3, 4]
    const gnu = [4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, ...Buffer.from('GNU\0'), ...Buffer.alloc(20, 0xab)]
    await writeFile(join(root, 'sys/kernel/notes'), Buffer.from([...xen, ...gnu]))
    expect(await readHost(root)).toMatchObject({
      release: '1.2.3-x',
      banner: 'Linux version 1.2.3-x (a@b)',
      buildId: 'ab'.repeat(20),
      osRelease: 'ID=x',
      kernelBtf: null,
    })
  })

  it('says little where there are no files, and garbage in notes is no build-id', async () => {
    const root = join(dir, 'empty-root')
    expect(await readHost(root)).toMatchObject({
      banner: null,
      buildId: null,
      osRelease: null,
      kernelBtf: null,
    })
    await mkdir(join(root, 'sys/kernel'), { recursive: true })
    await writeFile(join(root, 'sys/kernel/notes'), Buffer.alloc(100, 0xff))
    expect((await readHost(root)).buildId).toBeNull()
  })

  it('is the one that this runs on', async () => {
    const host = await readHost()
    expect(host.banner).toContain(host.release)
  })
})
