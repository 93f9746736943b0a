import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { rawBtf } from '../btf/index.ts'
import { seal } from '../core/signed-index/index.ts'
import { silentLog } from '../core/log.ts'
import { MinBtfs, type RunningRegistry, startRegistry } from '../registry/index.ts'
import { exportTo, testKey } from '../test/helpers/export.ts'
import { serveFiles } from '../test/helpers/file-server.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { type Client, type ClientOptions, createClient } from './client.ts'
import type { ClientErrorCode } from './errors.ts'
import { FORMS } from './forms.ts'
import type { KernelQuery } from './query.ts'

const key = testKey()
const release = '5.4.0-80-generic'
const focal = { distro: 'ubuntu', version: '20.04', arch: 'x86_64', release } as const
const bionic = { ...focal, version: '18.04' } as const
const bytes = { focal: tinyKernel(12), bionic: tinyKernel(16) }
const focalId = 'f0'.repeat(20)
const banner = `Linux version ${release} (b@h) #90~18.04.1-Ubuntu SMP`

let store: TestStore
let registry: RunningRegistry
let dir: string
let tree: string
let plain: string
let plainServer: Awaited<ReturnType<typeof serveFiles>>
const open: { close(): unknown }[] = []

beforeAll(async () => {
  store = await openTestStore()
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  tree = join(dir, 'tree')
  await addKernel(store, { kernel: focal, btf: bytes.focal, provenance: { buildId: focalId } })
  await addKernel(store, { kernel: bionic, btf: bytes.bionic, provenance: { banner } })
  for (let i = 0; i < 135; i++) {
    await addKernel(store, { kernel: { release: `6.1.0-${i}-amd64` }, btf: tinyKernel(8), layout: 'same' })
  }
  await addTool(store, 'same', '1.0', compileTool(['pid']))
  await addTool(store, 'differs', '1.0', compileTool(['pid', 'tgid']))
  await addTool(store, 'differs', '2.0', compileTool(['tgid']))
  const minBtfs = new MinBtfs({ ...store, log: silentLog })
  const digests = new Set((await store.catalog.builds()).map((build) => build.btf.digest))
  for (const tool of await store.catalog.tools()) for (const btf of digests) await minBtfs.get(tool, btf)
  await exportTo(tree, store, key)
  registry = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
  plainServer = await serveFiles(tree)
  plain = plainServer.url
})

afterAll(async () => {
  plainServer.close()
  await registry.stop()
  await store.cleanUp()
  await rm(dir, { recursive: true })
})

afterEach(async () => {
  for (const thing of open.splice(0)) await thing.close()
})

let caches = 0
function clientOf(hub: string, options: Partial<ClientOptions> = {}): Client {
  const timeouts = { backoffMs: 1, headersMs: 2000, bodyMs: 2000, connectMs: 2000 }
  const client = createClient({ hubs: [hub], cacheDir: join(dir, `cache-${caches++}`), timeouts, ...options })
  open.push(client)
  return client
}

/** Until the test is over. */
async function serve(root: string): Promise<string> {
  const server = await serveFiles(root)
  open.push(server)
  return server.url
}

function failsWith(code: ClientErrorCode, part = ''): Error {
  const message = expect.stringContaining(part) as string
  return expect.objectContaining({
    name: expect.stringMatching(/Error$|MissingDocument/) as string,
    code,
    message,
  }) as Error
}

/** What a client says, whoever it asked: the answer without what names the hub, or the code. */
async function told(client: Client, query: KernelQuery): Promise<unknown> {
  try {
    const { path: _path, hub: _hub, from: _from, ...facts } = await client.fetchBtf(query)
    return facts
  } catch (err) {
    const { code, choices, message } = err as Error & { code: string; choices: unknown }
    return { code, choices, message: message.replace(/http:\/\/[^ ]+/, 'HUB') }
  }
}

describe('a tree of plain files', () => {
  const questions: readonly (readonly [string, KernelQuery])[] = [
    ['a kernel by name', focal],
    ['another', bionic],
    ['a release that is ambiguous', { release, arch: 'x86_64' }],
    ['a release of another architecture', { ...focal, arch: 'aarch64' }],
    ['a build-id', { buildId: focalId }],
    ['a build-id that is not there', { buildId: '00'.repeat(20) }],
    ['a build-id against its release', { buildId: focalId, release: '6.1.0-1-amd64' }],
    ['a build-id that says that it is another build', { ...bionic, buildId: '00'.repeat(20) }],
    ['a banner', { banner }],
    ['a banner against its release', { banner, release: '6.1.0-1-amd64' }],
    ['aliases, quotes and code names', { ...focal, arch: 'amd64', distro: '"ubuntu"', version: 'focal' }],
    ['os-release', { release, arch: 'x86_64', osRelease: 'ID=ubuntu\nVERSION_ID="18.04"\n' }],
    ['a kernel of many', { release: '6.1.0-77-amd64' }],
    ['nothing', {}],
    ['what cannot be', { release: '../x' }],
    ['a tool', { ...focal, tool: 'differs' }],
    ['a version of a tool', { ...focal, tool: 'differs@1.0' }],
    ['a tool that is not there', { ...focal, tool: 'none' }],
    ['a tool to which two layouts are the same', { release, arch: 'x86_64', tool: 'same' }],
    ['a tool to which they differ', { release, arch: 'x86_64', tool: 'differs' }],
    ['a clone of what is there', { ...focal, distro: 'rhel', like: true }],
  ]

  it.each(questions)('is asked like a hub, and answers the same: %s', async (_, query) => {
    const fromTree = await told(clientOf(plain), query)
    expect(fromTree).toEqual(await told(clientOf(registry.url), query))
    expect(await told(clientOf(plain, { keys: [key.publicKey] }), query)).toEqual(fromTree)
  })

  it('tells of a release that is nowhere', async () => {
    await expect(clientOf(plain).fetchBtf({ release: '9.9.9', arch: 'x86_64' })).rejects.toThrow(
      failsWith('NOT_FOUND'),
    )
  })

  it.each(FORMS)('gives full BTF as %s', async (form) => {
    const client = clientOf(plain, { keys: [key.publicKey] })
    const { path } = await client.fetchForm(focal, form)
    if (form === 'elf') expect(new Uint8Array(rawBtf(await readFile(path)))).toEqual(bytes.focal)
    await expect(client.fetchForm({ ...focal, tool: 'same' }, form)).rejects.toThrow(failsWith('BAD_REQUEST'))
  })

  it('is no hub at all where it has no index', async () => {
    const empty = await serve(join(dir, 'nothing'))
    await expect(clientOf(empty).fetchBtf(focal)).rejects.toThrow(failsWith('UNAVAILABLE'))
  })
})

describe('with a key', () => {
  const keys = [key.publicKey]

  it('a hub without a signed index is not believed', async () => {
    const empty = await serve(join(dir, 'nothing'))
    await expect(clientOf(empty, { keys }).fetchBtf(focal)).rejects.toThrow(
      failsWith('UNVERIFIED', 'no signed index'),
    )
  })

  it('an index that another key signed is not believed; one of several keys is enough', async () => {
    const stranger = testKey().publicKey
    await expect(clientOf(plain, { keys: [stranger] }).fetchBtf(focal)).rejects.toThrow(
      failsWith('UNVERIFIED', 'expected one of'),
    )
    expect(await clientOf(plain, { keys: [stranger, ...keys] }).fetchBtf(focal)).toMatchObject({
      from: 'hub',
    })
  })

  it('an index that has expired is refused', async () => {
    const old = join(dir, 'expired')
    await exportTo(old, store, key, {
      now: new Date('2026-01-01T00:00:00Z'),
      lifetimeMs: 3600_000,
      forms: ['gz'],
    })
    const url = await serve(old)
    await expect(clientOf(url, { keys }).fetchBtf(focal)).rejects.toThrow(
      failsWith('UNVERIFIED', 'expired at 2026-01-01'),
    )
    expect(await clientOf(url).fetchBtf(focal)).toMatchObject({ from: 'hub' })
  })

  it('an index older than one seen before is refused, for each hub and key', async () => {
    const moving = join(dir, 'moving')
    const url = await serve(moving)
    const cacheDir = join(dir, 'rollback-cache')
    const at = (hours: number): Date => new Date(Date.now() + hours * 3600_000)
    await exportTo(moving, store, key, { now: at(-1), forms: ['gz'] })
    const old = await readFile(join(moving, 'v1/index.json'))
    await clientOf(url, { keys, cacheDir }).fetchBtf(focal)
    await exportTo(moving, store, key, { now: at(13), forms: ['gz'] })
    await clientOf(url, { keys, cacheDir }).fetchBtf(focal)
    await writeFile(join(moving, 'v1/index.json'), old)
    await expect(clientOf(url, { keys, cacheDir }).fetchBtf(focal)).rejects.toThrow(
      failsWith('UNVERIFIED', 'older than'),
    )
    // Who never saw the newer one cannot know.
    expect(await clientOf(url, { keys }).fetchBtf(focal)).toMatchObject({ from: 'hub' })
  })

  it('what was answered without one does not answer when no hub can be asked', async () => {
    const cacheDir = join(dir, 'offline-cache')
    const url = await serve(tree)
    await clientOf(url, { cacheDir }).fetchBtf(focal)
    for (const thing of open.splice(0)) await thing.close()
    expect(await clientOf(url, { cacheDir }).fetchBtf(focal)).toMatchObject({ from: 'offline' })
    await expect(clientOf(url, { cacheDir, keys }).fetchBtf(focal)).rejects.toThrow(failsWith('UNAVAILABLE'))
  })

  it('documents that were replaced while they were read are read anew', async () => {
    const { text, other } = {
      text: await readFile(join(tree, 'v1/index.json')),
      other: join(dir, 'replaced'),
    }
    await exportTo(other, store, key, { forms: ['gz'] })
    const { payload } = JSON.parse(text.toString()) as { payload: string }
    const gone = { ...(JSON.parse(payload) as object), release_shards: ['0'.repeat(64)], version: 1 }
    let first = true
    const root = await serve(other)
    const server = createServer((incoming, outgoing) => {
      if (incoming.url === '/v1/index.json' && first) {
        first = false
        outgoing.end(seal(JSON.stringify(gone), [key]))
      } else
        void fetch(root + incoming.url).then(async (answer) => {
          outgoing.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()))
        })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.push({ close: () => server.close() })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    expect(await clientOf(url, { keys }).fetchBtf(focal)).toMatchObject({ from: 'hub' })
    expect(first).toBe(false)
  })

  it('a key that is none is refused at once', () => {
    expect(() => clientOf(plain, { keys: ['ed25519:x'] })).toThrow(
      expect.objectContaining({ code: 'BAD_KEY' }) as Error,
    )
  })
})

const hasPython = (() => {
  try {
    execFileSync('python3', ['--version'])
    return true
  } catch {
    return false
  }
})()

it.skipIf(!hasPython)('Python’s http.server will do as a hub (skipped without python3)', async () => {
  await mkdir(join(dir, 'py'), { recursive: true })
  const child = spawn(
    'python3',
    ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', tree],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const port = /port (\d+)/.exec(line.toString())?.[1]
    const client = clientOf(`http://127.0.0.1:${port}`, { keys: [key.publicKey] })
    expect(await client.fetchBtf(focal)).toMatchObject({ from: 'hub', match: 'release' })
  } finally {
    child.kill()
  }
})
