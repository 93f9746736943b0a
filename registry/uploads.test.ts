import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256Of } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { silentLog } from '../core/log.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { Problem } from './api.ts'
import { RegistryError } from './errors.ts'
import type { Env } from './sender.ts'
import { type RunningRegistry, startRegistry } from './server.ts'
import { boundUploads } from './uploads.ts'

let store: TestStore
let hub: RunningRegistry
let scratch: string

const ubuntu = { distro: 'ubuntu', arch: 'x86_64', release: '5.4.0-80-generic' } as const
const kernel = tinyKernel(8)
let object: Uint8Array
let whole: Uint8Array

beforeAll(async () => {
  store = await openTestStore()
  scratch = mkdtempSync(join(tmpdir(), 'btfhub-test-'))
  await addKernel(store, { kernel: { release: 'known' }, btf: kernel })
  await addKernel(store, { kernel: { ...ubuntu, version: '18.04' }, btf: tinyKernel(12) })
  await addKernel(store, { kernel: { ...ubuntu, version: '20.04' }, btf: tinyKernel(16) })
  object = compileTool(['pid'])
  whole = compileTool(['pid', 'tgid'])
  await addTool(store, 'pids', '1.0', object)
  hub = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
})

afterAll(async () => {
  await hub.stop()
  await store.cleanUp()
  rmSync(scratch, { recursive: true })
})

function form(parts: readonly (readonly [string, Uint8Array | string])[]): FormData {
  const data = new FormData()
  for (const [field, value] of parts) {
    if (typeof value === 'string') data.append(field, value)
    else data.append(field, new Blob([value]), 'tool.bpf.o')
  }
  return data
}

const post = (
  path: string,
  body: RequestInit['body'],
  headers: Record<string, string> = {},
): Promise<Response> =>
  fetch(hub.url + path, { method: 'POST', body: body ?? null, headers, signal: AbortSignal.timeout(10_000) })

async function bytesOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer())
}

async function problemOf(response: Response): Promise<string> {
  return `${response.status} ${Problem.parse(await response.json()).code}`
}

async function blobsOf({ blobs }: TestStore): Promise<string[]> {
  const digests: string[] = []
  for await (const { digest } of blobs.list()) digests.push(digest)
  return digests
}

describe('POST /v1/minimize', () => {
  it('gives the min BTF that a registered tool of the same objects has, and stores nothing', async () => {
    const registered = await bytesOf(await fetch(`${hub.url}/v1/min/pids/known`))
    const blobs = await blobsOf(store)
    const response = await post('/v1/minimize?release=known', form([['object', object]]))
    expect(response.status).toBe(200)
    expect(response.headers.get('btfhub-kernel')).toBe('debian/12/x86_64/known')
    expect(response.headers.get('cache-control')).toBe('no-store')
    const bytes = await bytesOf(response)
    expect(bytes).toEqual(registered)
    expect(response.headers.get('btfhub-digest')).toBe(sha256Of(bytes))
    expect(await blobsOf(store)).toHaveLength(blobs.length)
  })

  it('cuts the same request once, however many ask', async () => {
    const before = hub.hub.objectMins.made
    const ask = (): Promise<Response> => post('/v1/minimize?release=known', form([['object', whole]]))
    const answers = await Promise.all([ask(), ask(), ask()])
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200])
    expect((await ask()).status).toBe(200)
    expect(hub.hub.objectMins.made - before).toBe(1)
  })

  it('cuts for several objects together, in the form that is asked for', async () => {
    const parts = [['object', object] as const, ['object', whole] as const]
    const raw = await bytesOf(await post('/v1/minimize?release=known', form(parts)))
    const gz = await post('/v1/minimize?release=known&format=gz', form(parts))
    expect(gz.headers.get('content-type')).toBe('application/gzip')
    writeFileSync(join(scratch, 'min.gz'), await bytesOf(gz))
    const out = execFileSync('gzip', ['-dc', join(scratch, 'min.gz')])
    expect(new Uint8Array(out)).toEqual(raw)
  })

  it('is ambiguous only where the min BTF differs', async () => {
    const path = `/v1/minimize?release=${ubuntu.release}`
    expect((await post(path, form([['object', object]]))).status).toBe(200)
    expect(await problemOf(await post(path, form([['object', whole]])))).toBe('409 AMBIGUOUS')
    expect((await post(`${path}&version=18.04`, form([['object', whole]]))).status).toBe(200)
  })

  it('is not taken for the answer to a GET of that path', async () => {
    await post('/v1/minimize?release=known', form([['object', object]]))
    expect((await fetch(`${hub.url}/v1/minimize?release=known`)).status).toBe(405)
  })

  const multipart = { 'content-type': 'multipart/form-data; boundary=b' }
  const many = (count: number): FormData =>
    form(Array.from({ length: count }, () => ['object', new Uint8Array([1])] as const))
  it.each<[string, string, () => RequestInit['body'], Record<string, string>, string]>([
    ['no release', '', () => form([['object', object]]), {}, '400 BAD_REQUEST'],
    ['an unknown release', '?release=none', () => form([['object', object]]), {}, '404 NOT_FOUND'],
    ['an unknown parameter', '?release=known&x=1', () => form([['object', object]]), {}, '400 BAD_REQUEST'],
    ['no object', '?release=known', () => form([]), {}, '400 BAD_REQUEST'],
    ['another field', '?release=known', () => form([['other', object]]), {}, '400 BAD_REQUEST'],
    ['text', '?release=known', () => form([['object', 'text']]), {}, '400 BAD_REQUEST'],
    [
      'no form',
      '?release=known',
      () => '{}',
      { 'content-type': 'application/json' },
      '415 UNSUPPORTED_MEDIA',
    ],
    ['half a form', '?release=known', () => '--b\r\nContent-Disp', multipart, '400 BAD_REQUEST'],
    ['an empty body', '?release=known', () => '', multipart, '400 BAD_REQUEST'],
    [
      'no boundary',
      '?release=known',
      () => 'x',
      { 'content-type': 'multipart/form-data' },
      '415 UNSUPPORTED_MEDIA',
    ],
    ['an empty object', '?release=known', () => form([['object', new Uint8Array()]]), {}, '422 TOOL_UNFIT'],
    ['no BPF object', '?release=known', () => form([['object', kernel]]), {}, '422 TOOL_UNFIT'],
    [
      'half an object',
      '?release=known',
      () => form([['object', object.subarray(0, 700)]]),
      {},
      '422 TOOL_UNFIT',
    ],
    ['too many', '?release=known', () => many(limits.request.maxUploadObjects + 1), {}, '413 TOO_LARGE'],
    [
      'too large a body',
      '?release=known',
      () => form([['object', new Uint8Array(limits.request.maxUploadBytes)]]),
      {},
      '413 TOO_LARGE',
    ],
  ])('refuses %s', async (_name, query, body, headers, expected) => {
    expect(await problemOf(await post(`/v1/minimize${query}`, body(), headers))).toBe(expected)
  })

  it('is not kept from others by who sends slowly, until they are very many', async () => {
    const start =
      'POST /v1/minimize?release=known HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n' +
      'Content-Length: 1000\r\n\r\n--b\r\n'
    const slow: Socket[] = []
    const openSlow = (count: number): void => {
      for (let i = 0; i < count; i++) {
        const socket = connect(hub.port, '127.0.0.1').on('error', () => undefined)
        socket.write(start)
        slow.push(socket)
      }
    }
    const ask = (): Promise<Response> => post('/v1/minimize?release=known', form([['object', object]]))
    const few = limits.request.maxUploads / 2
    openSlow(few)
    try {
      for (let i = 0; i < 5; i++) expect((await ask()).status).toBe(200)
      openSlow(limits.request.maxUploads - few)
      await expect.poll(async () => problemOf(await post('/v1/minimize', form([])))).toBe('503 BUSY')
    } finally {
      for (const socket of slow) socket.destroy()
    }
    await expect.poll(async () => (await ask()).status).toBe(200)
  })

  it('holds a bounded number of bytes of all bodies', async () => {
    const app = new Hono<Env>().use(boundUploads()).post('/', async (c) => {
      for await (const _chunk of c.req.raw.body ?? []);
      return c.text('read')
    })
    app.onError((err, c) => c.text(err instanceof RegistryError ? err.code : 'other', 500))
    const chunk = new Uint8Array(1024 * 1024)
    const mostOfIt = limits.request.maxUploadBytes / chunk.byteLength - 1
    /** A body that comes nearly whole, and ends when it is told to; `stalled` when it has come so far. */
    const slowly = (): { answer: Promise<Response>; stalled: Promise<void>; end: () => void } => {
      let sent = 0
      const [stall, finish] = [signal(), signal()]
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          if (sent++ < mostOfIt) return controller.enqueue(chunk)
          stall.give()
          await finish.given
          controller.close()
        },
      })
      const answer = app.request('/', { method: 'POST', body, duplex: 'half' })
      return { answer: Promise.resolve(answer), stalled: stall.given, end: finish.give }
    }
    const uploads = []
    for (let i = 0; i < Math.floor(limits.request.maxHeldUploadBytes / (mostOfIt * chunk.byteLength)); i++) {
      const upload = slowly()
      await upload.stalled
      uploads.push(upload)
    }
    expect(await (await slowly().answer).text()).toBe('BUSY')
    for (const { end } of uploads) end()
    for (const { answer } of uploads) expect(await (await answer).text()).toBe('read')
    const later = slowly()
    later.end()
    expect(await (await later.answer).text()).toBe('read')
  })
})

function signal(): { readonly given: Promise<void>; readonly give: () => void } {
  let give = (): void => undefined
  const given = new Promise<void>((resolve) => (give = resolve))
  return { given, give: () => give() }
}

describe("btfhub-online's endpoints", () => {
  const query = 'distribution=debian&distribution_version=12&kernel_version=known&arch=x86_64'

  it('lists kernels with its field names', async () => {
    const list = (await (await fetch(`${hub.url}/api/v1/list`)).json()) as unknown[]
    expect(list).toHaveLength(3)
    expect(list).toContainEqual({
      distribution: 'debian',
      distribution_version: '12',
      kernel_version: 'known',
      arch: 'x86_64',
    })
  })

  it('downloads a tar.xz that tar unpacks to the BTF', async () => {
    const response = await fetch(`${hub.url}/api/v1/download?${query}`)
    writeFileSync(join(scratch, 'full.tar.xz'), await bytesOf(response))
    const out = execFileSync('tar', ['-xJOf', join(scratch, 'full.tar.xz'), 'known.btf'])
    expect(new Uint8Array(out)).toEqual(kernel)
  })

  it('customizes for what curl -F bpf=@ sends, as tar.xz', async () => {
    writeFileSync(join(scratch, 'bpf.core.o'), object)
    const file = join(scratch, 'min.tar.xz')
    const upload = `bpf=@${join(scratch, 'bpf.core.o')}`
    // Not the synchronous one: the hub answers in this process.
    await promisify(execFile)('curl', [
      '-fsS',
      '-F',
      upload,
      '-o',
      file,
      `${hub.url}/api/v1/customize?${query}`,
    ])
    const out = execFileSync('tar', ['-xJOf', file, 'known.btf'])
    const registered = await bytesOf(await fetch(`${hub.url}/v1/min/pids/known`))
    expect(new Uint8Array(out)).toEqual(registered)
  })

  it('says 404 of what is not there and 400 of nothing asked', async () => {
    expect(await problemOf(await fetch(`${hub.url}/api/v1/download?kernel_version=none`))).toBe(
      '404 NOT_FOUND',
    )
    expect(await problemOf(await fetch(`${hub.url}/api/v1/download`))).toBe('400 BAD_REQUEST')
    expect((await fetch(`${hub.url}/monitoring/health`)).status).toBe(200)
  })
})

describe("Datadog's catalog", () => {
  type Tree = Record<string, Record<string, Record<string, Record<string, { sha256: string }>>>>

  it('comes to have the sha256 of every tar.xz that its path serves, and none that would be ambiguous', async () => {
    const other = await addKernel(store, { kernel: { release: 'twice' }, btf: tinyKernel(4) })
    await addKernel(store, {
      kernel: { ...other.kernel },
      key: 'test/twice/2',
      layout: 'other',
      btf: tinyKernel(20),
    })
    await hub.hub.snapshots.refresh()
    const read = async (): Promise<Response> => fetch(`${hub.url}/catalog.json`)
    await expect.poll(async () => (await read()).headers.get('btfhub-pending'), { timeout: 20_000 }).toBe('0')
    const tree = (await (await read()).json()) as Tree
    expect(Object.keys(tree)).toEqual(['x86_64', 'arm64'])
    const entries = Object.entries(tree).flatMap(([arch, distros]) =>
      Object.entries(distros).flatMap(([distro, versions]) =>
        Object.entries(versions).flatMap(([version, releases]) =>
          Object.entries(releases).map(
            ([release, { sha256 }]) => [`${distro}/${version}/${arch}/${release}`, sha256] as const,
          ),
        ),
      ),
    )
    expect(entries.map(([path]) => path).sort()).toEqual([
      'debian/12/x86_64/known',
      'ubuntu/18.04/x86_64/5.4.0-80-generic',
      'ubuntu/20.04/x86_64/5.4.0-80-generic',
    ])
    for (const [path, sha256] of entries) {
      const file = await bytesOf(await fetch(`${hub.url}/btfs/${path}.btf.tar.xz`))
      expect(sha256Of(file)).toBe(sha256)
    }
  })
})
