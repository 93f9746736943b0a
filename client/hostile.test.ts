import { execFileSync } from 'node:child_process'
import { watch } from 'node:fs'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { sha256Of } from '../core/digest.ts'
import { silentLog } from '../core/log.ts'
import { type RunningRegistry, startRegistry } from '../registry/index.ts'
import { runCli } from '../test/helpers/cli.ts'
import { addKernel, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { BtfCache } from './cache.ts'
import { createClient } from './client.ts'
import { ClientError, type ClientErrorCode } from './errors.ts'
import { place } from './get.ts'
import type { Timeouts } from './hub.ts'

const release = '6.1.0-1-amd64'
const btf = tinyKernel(4)
const digest = sha256Of(btf)
const isRoot = process.getuid?.() === 0

let store: TestStore
let registry: RunningRegistry
let dir: string
let cacheDir: string
const servers: Server[] = []

beforeAll(async () => {
  store = await openTestStore()
  await addKernel(store, { kernel: { release }, btf })
  registry = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
})

afterAll(async () => {
  await registry.stop()
  await store.cleanUp()
})

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  cacheDir = join(dir, 'cache')
})

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
  await rm(dir, { recursive: true })
})

async function hubOf(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  servers.push(server)
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What fetching from these hubs comes to. */
async function fetchFrom(
  hubs: readonly string[],
  timeouts: Partial<Timeouts> = {},
): Promise<string | ClientError> {
  const client = createClient({ hubs, cacheDir, timeouts: { backoffMs: 1, tries: 2, ...timeouts } })
  try {
    return (await client.fetchBtf({ release })).path
  } catch (err) {
    if (err instanceof ClientError) return err
    throw err
  } finally {
    await client.close()
  }
}

/** What the registry says to the same. */
const forward: RequestListener = (incoming, outgoing) => {
  const chunks: Buffer[] = []
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
  incoming.on('end', () => {
    const headers = {
      'content-type': incoming.headers['content-type'] ?? '',
      'accept-encoding': 'identity',
    }
    const init = { method: incoming.method ?? '', headers }
    const body = chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }
    void fetch(`${registry.url}${incoming.url}`, { ...init, ...body }).then(async (answer) => {
      outgoing.writeHead(answer.status, Object.fromEntries(answer.headers))
      outgoing.end(new Uint8Array(await answer.arrayBuffer()))
    })
  })
}

function problem(code: string, detail: string, more: object = {}): string {
  return JSON.stringify({ type: 'a', title: 'a', status: 400, detail, instance: '/', code, ...more })
}

const failure = (code: ClientErrorCode): unknown => expect.objectContaining({ name: 'ClientError', code })

describe('a hub that is still fetching what is asked for', () => {
  const pending =
    (seconds: number): RequestListener =>
    (_, outgoing) => {
      outgoing.writeHead(202, { 'retry-after': String(seconds) })
      outgoing.end(problem('PENDING', 'it is being fetched', { retry_after: seconds }))
    }

  it('is asked again when it says, until it has it', async () => {
    let asked = 0
    const url = await hubOf((incoming, outgoing) => {
      if (++asked <= 2) return void pending(1)(incoming, outgoing)
      forward(incoming, outgoing)
    })
    const start = performance.now()
    expect(await readFile((await fetchFrom([url])) as string)).toEqual(Buffer.from(btf))
    expect(performance.now() - start).toBeGreaterThan(1900)
  })

  it('is not waited for where another hub has it', async () => {
    expect(await fetchFrom([await hubOf(pending(30)), registry.url])).toContain(digest)
  })

  it('is not waited for longer than there is time', async () => {
    const start = performance.now()
    expect(await fetchFrom([await hubOf(pending(5))], { wholeMs: 2000 })).toEqual(failure('PENDING'))
    expect(performance.now() - start).toBeLessThan(1500)
  })
})

describe('a hostile hub', () => {
  /** Resolves as a hub does, and answers blobs as `blob` says. */
  const withBlob =
    (blob: RequestListener): RequestListener =>
    (incoming, outgoing) => {
      if (incoming.url?.startsWith('/v1/blobs/') === true) return blob(incoming, outgoing)
      const init = { method: 'POST', headers: { 'content-type': 'application/json' } }
      void fetch(`${registry.url}/v1/resolve`, { ...init, body: JSON.stringify({ release }) })
        .then((answer) => answer.text())
        .then((text) => outgoing.end(text))
    }

  it.each<[string, RequestListener, ClientErrorCode]>([
    [
      'a body of another digest',
      withBlob((_, o) => void o.end(Buffer.alloc(btf.byteLength, 1))),
      'UNVERIFIED',
    ],
    [
      'a body that never ends',
      withBlob((_, o) => {
        const timer = setInterval(() => o.write('x'), 20)
        o.on('close', () => clearInterval(timer))
      }),
      'UNAVAILABLE',
    ],
    [
      'a huge body',
      withBlob((_, o) => {
        const send = (): void => {
          while (!o.destroyed && o.write(Buffer.alloc(1 << 20)));
        }
        o.on('drain', send)
        send()
      }),
      'UNAVAILABLE',
    ],
    ['a huge answer to resolving', (_, o) => void o.end(Buffer.alloc(8 << 20, 32)), 'UNAVAILABLE'],
    ['headers that never come', () => {}, 'UNAVAILABLE'],
    [
      'a redirect to a file',
      (_, o) => void o.writeHead(302, { location: 'file:///etc/passwd' }).end(),
      'UNAVAILABLE',
    ],
    [
      'a redirect elsewhere',
      (_, o) => void o.writeHead(307, { location: registry.url }).end(),
      'UNAVAILABLE',
    ],
    ['what is no JSON', (_, o) => void o.end('<html>'), 'UNAVAILABLE'],
    [
      'an object of another shape',
      (_, o) => void o.end('{"btf":{"digest":"../../etc/passwd"}}'),
      'UNAVAILABLE',
    ],
  ])('%s gives no path, and leaves no file', async (_, listener, code) => {
    const result = await fetchFrom([await hubOf(listener)], { headersMs: 400, bodyMs: 400, wholeMs: 1500 })
    expect(result).toEqual(failure(code))
    const left = await readdir(cacheDir, { recursive: true }).catch(() => [])
    expect(left.filter((name) => /\.(btf|tmp)/.test(name))).toEqual([])
  })

  it('writes no escape sequences to a terminal', async () => {
    const evil = 'gone\u001b]0;owned\u0007\u001b[2J\u009b31m\r\nbtfhub: /etc/passwd'
    const url = await hubOf((_, outgoing) => {
      outgoing.writeHead(404, { 'content-type': 'application/problem+json' })
      const nearest = [{ distro: 'a\u001b[1m', version: '1', arch: 'x86_64', release: 'b' }]
      outgoing.end(problem('NOT_FOUND', evil, { nearest }))
    })
    const { code, stdout, stderr } = await runCli(['get', release, '--hub', url, '--cache', cacheDir])
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toContain('gone')
    expect(stderr.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
    expect(stderr.split('\n').filter((line) => line.startsWith('btfhub: /etc'))).toEqual([])
  })
})

describe('a cache that others can reach', () => {
  const cache = (): BtfCache => new BtfCache(cacheDir)

  it.each<[string, () => Promise<unknown>]>([
    ['a folder in which everybody makes files', () => mkdir(cacheDir).then(() => chmod(cacheDir, 0o1777))],
    ['a folder of another user', () => mkdir(cacheDir).then(() => chown(cacheDir, 65534, 65534))],
    [
      'a folder inside it of another user',
      async () => {
        await mkdir(join(cacheDir, 'blobs-v1'), { recursive: true })
        await chown(join(cacheDir, 'blobs-v1'), 65534, 65534)
      },
    ],
    [
      'a link that another user made',
      async () => {
        await mkdir(join(dir, 'elsewhere'))
        await symlink(join(dir, 'elsewhere'), cacheDir)
        execFileSync('chown', ['-h', '65534', cacheDir])
      },
    ],
  ])('%s is refused', async (_, make) => {
    if (!isRoot) return
    await make()
    await expect(cache().keep(digest, btf)).rejects.toThrow(failure('FAILED'))
    expect((await lstat('/tmp')).mode & 0o1777).toBe(0o1777)
  })

  it('nothing is taken from it without a look at who could change it', async () => {
    if (!isRoot) return
    const path = await cache().keep(digest, btf)
    expect(await cache().find(digest)).toBe(path)
    await chown(join(cacheDir, 'blobs-v1', digest.slice(0, 2)), 65534, 65534)
    await expect(cache().find(digest)).rejects.toThrow(failure('FAILED'))
  })

  it('a link in the place of a file is no file of the cache, and is replaced', async () => {
    const path = await cache().keep(digest, btf)
    const victim = join(dir, 'victim')
    await writeFile(victim, btf)
    await rm(path)
    await symlink(victim, path)
    expect(await cache().find(digest)).toBeNull()
    await cache().keep(digest, tinyKernel(4))
    expect((await lstat(path)).isFile()).toBe(true)
    expect(await readFile(victim)).toEqual(Buffer.from(btf))
  })

  it('temporary files have names that nobody can foresee', async () => {
    const seen = new Set<string>()
    const watcher = watch(dir, (_, name) => {
      if (name?.endsWith('.tmp') === true) seen.add(name)
    })
    for (let i = 0; i < 3; i++) await place(btf, join(dir, 'out'))
    watcher.close()
    for (const name of seen) expect(name).toMatch(/^\.out\.\d+-[0-9a-f]{12}\.tmp$/)
    expect(seen.size).toBe(3)
  })
})

describe('where it is to be written', () => {
  it('a link is replaced, not written through', async () => {
    const victim = join(dir, 'victim')
    await writeFile(victim, 'mine')
    await symlink(victim, join(dir, 'out'))
    await place(btf, join(dir, 'out'))
    expect(await readFile(victim, 'utf8')).toBe('mine')
    expect(await readFile(join(dir, 'out'))).toEqual(Buffer.from(btf))
  })

  it.each(['/dev/null', '/dev/stdout', '/tmp'])('%s stays what it is', async (path) => {
    const before = await lstat(path)
    await expect(place(btf, path)).rejects.toThrow(failure('BAD_REQUEST'))
    expect((await lstat(path)).ino).toBe(before.ino)
  })
})

describe('min BTF of objects that the hub cuts', () => {
  it('is the same as the tool’s, is kept, and can be had offline', async () => {
    const objects = [{ name: 'a.bpf.o', bytes: compileTool(['pid', 'tgid']) }]
    const hubs = [await hubOf(forward)]
    const online = createClient({ hubs, cacheDir })
    const got = await online.minimize({ release }, objects)
    expect(got).toMatchObject({ kernel: `debian/12/x86_64/${release}`, match: 'release', from: 'hub' })
    const bytes = await readFile(got.path)
    expect(sha256Of(bytes)).toBe(got.digest)
    expect(bytes.byteLength).toBeLessThan(btf.byteLength / 4)
    await expect(online.minimize({ release }, [{ name: 'x', bytes: btf }])).rejects.toThrow(
      failure('BAD_REQUEST'),
    )
    await expect(online.minimize({ release: 'no' }, objects)).rejects.toThrow(failure('NOT_FOUND'))
    await online.close()
    for (const server of servers) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
    const offline = createClient({ hubs, cacheDir, timeouts: { tries: 1 } })
    expect(await offline.minimize({ release }, objects)).toMatchObject({ path: got.path, from: 'offline' })
    const others = [{ name: 'b.bpf.o', bytes: compileTool(['pid']) }]
    await expect(offline.minimize({ release }, others)).rejects.toThrow(failure('UNAVAILABLE'))
    await offline.close()
  })
})
