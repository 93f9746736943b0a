import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawBtf } from '../btf/index.ts'
import { sha256Of } from '../core/digest.ts'
import { silentLog } from '../core/log.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import * as api from './api.ts'
import { createApp } from './app.ts'
import { createHub, type Hub } from './hub.ts'

let store: TestStore
let hub: Hub
let ask: (path: string, init?: RequestInit) => Promise<Response>

const plus = '6.12.9+deb12-amd64'
const focal = { distro: 'ubuntu', version: '20.04', arch: 'aarch64', release: '5.4.0-80-generic' } as const
const bionic = { ...focal, version: '18.04' } as const
const el7 = { distro: 'centos', version: '7', arch: 'x86_64', release: '3.10.0-1160.el7.x86_64' } as const
const bytesOf = { plus: tinyKernel(8), focal: tinyKernel(12), bionic: tinyKernel(16), el7: tinyKernel(4) }
const focalId = 'f0'.repeat(20)

beforeAll(async () => {
  store = await openTestStore()
  await addKernel(store, { kernel: { release: plus }, btf: bytesOf.plus })
  await addKernel(store, { kernel: bionic, btf: bytesOf.bionic })
  await addKernel(store, { kernel: focal, btf: bytesOf.focal, provenance: { buildId: focalId } })
  await addKernel(store, { kernel: el7, btf: bytesOf.el7, provenance: { buildId: null, banner: null } })
  await addTool(store, 'pids', '1.0', compileTool(['pid']))
  await addTool(store, 'both', '1.0', compileTool(['pid', 'tgid']))
  hub = createHub({ ...store, log: silentLog })
  const app = createApp(hub)
  ask = async (path, init) => app.request(path, init)
})

afterAll(() => store.cleanUp())

async function body(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer())
}

async function problem(response: Response): Promise<api.Problem> {
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  const parsed = api.Problem.parse(await response.json())
  expect(parsed.status).toBe(response.status)
  return parsed
}

const enc = encodeURIComponent

describe('BTF by release', () => {
  it('comes with headers that say what it is', async () => {
    const response = await ask(`/v1/btf/${el7.release}`)
    expect(response.status).toBe(200)
    const digest = sha256Of(bytesOf.el7)
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'application/octet-stream',
      'content-length': String(bytesOf.el7.byteLength),
      'accept-ranges': 'bytes',
      'cache-control': 'public, max-age=300',
      vary: 'Accept-Encoding',
      etag: `"${digest}"`,
      'repr-digest': `sha-256=:${createHash('sha256').update(bytesOf.el7).digest('base64')}:`,
      'last-modified': 'Fri, 02 Jan 2026 03:04:05 GMT',
      'x-content-type-options': 'nosniff',
      'btfhub-kernel': 'centos/7/x86_64/3.10.0-1160.el7.x86_64',
      'btfhub-match': 'release',
      'btfhub-origin': 'embedded',
      'btfhub-digest': digest,
    })
    expect(await body(response)).toEqual(bytesOf.el7)
  })

  it.each([
    ['a + in the path', `/v1/btf/${plus}`, 'plus'],
    ['the same encoded', `/v1/btf/${enc(plus)}`, 'plus'],
    ['every byte encoded', `/v1/btf/${Buffer.from(plus).toString('hex').replace(/../g, '%$&')}`, 'plus'],
    ['quotes and a point release', `/v1/btf/${el7.release}?distro=${enc('"centos"')}&version=7.9`, 'el7'],
    ['.btf at the end', `/v1/btf/${el7.release}.btf`, 'el7'],
    ['a version', `/v1/btf/${focal.release}?arch=arm64&version=20.04`, 'focal'],
    ['a build-id, no architecture', `/v1/btf/${focal.release}?build_id=${focalId}`, 'focal'],
    [
      'os-release',
      `/v1/btf/${focal.release}?arch=aarch64&os_release=${enc('ID=ubuntu\nVERSION_ID="18.04"')}`,
      'bionic',
    ],
    ["a clone's, where asked for", `/v1/btf/${el7.release}?distro=rhel&version=7.9&like=1`, 'el7'],
    ["btfhub's layout", '/centos/7/x86_64/3.10.0-1160.el7.x86_64.btf', 'el7'],
    [
      "btfhub's layout with another name for the architecture",
      `/ubuntu/focal/arm64/${focal.release}.btf`,
      'focal',
    ],
    [
      'as GitHub serves it',
      `/aquasecurity/btfhub-archive/raw/main/debian/12/amd64/${enc(plus)}.btf?raw=true`,
      'plus',
    ],
    ["Datadog's root", `/btfs/centos/7/x86_64/${el7.release}.btf`, 'el7'],
    ['coolbpf', `/coolbpf/btf/x86_64/vmlinux-${plus}`, 'plus'],
    ['debuginfod', `/buildid/${focalId}/section/.BTF`, 'focal'],
  ] as const)('is found by %s', async (_, path, name) => {
    const response = await ask(path)
    expect(response.status).toBe(200)
    expect(await body(response)).toEqual(bytesOf[name])
  })

  it('says how it was matched', async () => {
    const match = async (path: string): Promise<string | null> =>
      (await ask(path)).headers.get('btfhub-match')
    expect(await match(`/v1/btf/${focal.release}?build_id=${focalId}`)).toBe('build-id')
    expect(await match(`/v1/btf/${el7.release}?distro=rhel&like=1`)).toBe('like')
    const banner = enc(`Linux version ${plus} (test@kernels.example) #1 SMP\n`)
    expect(await match(`/v1/btf/${plus}?banner=${banner}`)).toBe('banner')
  })

  it('is refused with the choices where several layouts match', async () => {
    const response = await ask(`/v1/btf/${focal.release}?arch=aarch64&distro=ubuntu`)
    expect(response.status).toBe(409)
    const { code, choices, tells_apart } = await problem(response)
    expect(code).toBe('AMBIGUOUS')
    expect(tells_apart).toEqual(expect.arrayContaining(['version', 'build_id']))
    expect(choices?.map((c) => c.kernel.version).sort()).toEqual(['18.04', '20.04'])
    for (const choice of choices ?? []) {
      const bytes = await body(await ask(choice.url))
      expect(sha256Of(bytes)).toBe(choice.digest)
    }
  })

  it('is not there under a name that is only similar, which is told', async () => {
    const response = await ask('/v1/btf/3.10.0-1160.1.el7.x86_64')
    expect(response.status).toBe(404)
    expect(response.headers.get('cache-control')).toBe('no-store')
    const { code, nearest } = await problem(response)
    expect([code, nearest?.[0]]).toEqual(['NOT_FOUND', el7])
  })

  it('is not there for the assumed architecture, and the other one is told', async () => {
    const response = await ask(`/v1/btf/${focal.release}`)
    expect(response.status).toBe(404)
    expect((await problem(response)).nearest?.map((k) => k.arch)).toEqual(['aarch64', 'aarch64'])
  })

  it('is found when it was added after the last look at the catalog', async () => {
    const release = '6.6.6-added'
    expect((await ask(`/v1/btf/${release}`)).status).toBe(404)
    await addKernel(store, { kernel: { release }, btf: tinyKernel(20) })
    expect((await ask(`/v1/btf/${release}`)).status).toBe(200)
  })
})

describe('min BTF', () => {
  it('is made on demand, once, and kept', async () => {
    const path = `/v1/min/both/${plus}`
    const made = hub.minBtfs.made
    const all = await Promise.all(Array.from({ length: 50 }, () => ask(path).then(body)))
    expect(hub.minBtfs.made).toBe(made + 1)
    expect(all[0]?.byteLength).toBeLessThan(400)
    for (const bytes of all) expect(bytes).toEqual(all[0])
    const tool = await store.catalog.tool('both')
    const kept = await store.catalog.minBtf(tool?.id ?? -1, sha256Of(bytesOf.plus))
    expect(kept?.digest).toBe(sha256Of(all[0] as Uint8Array))
    await ask(path)
    expect(hub.minBtfs.made).toBe(made + 1)
  })

  it('can be had by name and version, and through tool=', async () => {
    const by = async (path: string): Promise<string> => sha256Of(await body(await ask(path)))
    const digest = await by(`/v1/min/both/${plus}`)
    expect(await by(`/v1/min/both@1.0/${plus}`)).toBe(digest)
    expect(await by(`/v1/btf/${plus}?tool=both`)).toBe(digest)
  })

  it('is not ambiguous where different layouts are the same to the tool', async () => {
    const same = await ask(`/v1/min/pids/${focal.release}?arch=arm64`)
    expect(same.status).toBe(200)
    expect(same.headers.get('btfhub-kernel')).toContain('20.04')
    const other = await ask(`/v1/min/both/${focal.release}?arch=arm64`)
    expect((await problem(other)).choices).toHaveLength(2)
  })

  it('is not there for a tool that is not', async () => {
    expect((await problem(await ask(`/v1/min/nope/${plus}`))).code).toBe('NOT_FOUND')
    expect((await problem(await ask(`/v1/min/both@2/${plus}`))).code).toBe('NOT_FOUND')
  })

  it('is refused, once and for all, for a tool whose objects are none', async () => {
    await addTool(store, 'broken', '1', Buffer.from('not ELF'))
    for (let i = 0; i < 2; i++) {
      const response = await ask(`/v1/min/broken/${plus}`)
      expect(response.status).toBe(422)
      expect((await problem(response)).code).toBe('TOOL_UNFIT')
    }
  })
})

describe('forms', () => {
  const archive = `/centos/7/x86_64/${el7.release}`
  const el7Digest = sha256Of(bytesOf.el7)

  it.each([
    ['.btf', 'raw'],
    ['.btf.gz', 'gz'],
    ['.btf.xz', 'xz'],
    ['.btf.tar.xz', 'tar.xz'],
    ['.elf', 'elf'],
    ['.btf.elf', 'elf'],
  ])('%s has a checksum that sha256sum agrees with, and is what format=%s gives', async (ending, format) => {
    const bytes = await body(await ask(`${archive}${ending}`))
    const line = await (await ask(`${archive}${ending}.sha256`)).text()
    const dir = mkdtempSync(join(tmpdir(), 'btfhub-test-'))
    try {
      writeFileSync(join(dir, `${el7.release}${ending}`), bytes)
      const said = execFileSync('sha256sum', ['-c', '-'], { cwd: dir, input: line, encoding: 'utf8' })
      expect(said).toBe(`${el7.release}${ending}: OK\n`)
    } finally {
      rmSync(dir, { recursive: true })
    }
    const response = await ask(`/v1/btf/${el7.release}?format=${format}`)
    expect(response.headers.get('btfhub-digest')).toBe(el7Digest)
    expect(response.headers.get('etag')).toBe(`"${sha256Of(bytes)}"`)
    expect(await body(response)).toEqual(bytes)
  })

  it('hold the same BTF', async () => {
    const get = async (ending: string): Promise<Uint8Array> => body(await ask(`${archive}${ending}`))
    const plain = Buffer.from(bytesOf.el7)
    expect(gunzipSync(await get('.btf.gz'))).toEqual(plain)
    const xz = execFileSync('xz', ['-dc'], { input: await get('.btf.xz') })
    expect(xz.equals(plain)).toBe(true)
    expect(Buffer.from(rawBtf(await get('.elf'))).equals(plain)).toBe(true)
    const tar = await get('.btf.tar.xz')
    expect(execFileSync('tar', ['tJ'], { input: tar, encoding: 'utf8' })).toBe(`${el7.release}.btf\n`)
    expect(execFileSync('tar', ['xJO'], { input: tar }).equals(plain)).toBe(true)
  })

  it('format=sha256 is a line about the raw BTF', async () => {
    const response = await ask(`/v1/btf/${el7.release}?format=sha256`)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(await response.text()).toBe(`${el7Digest}  ${el7.release}.btf\n`)
  })
})

describe('encodings', () => {
  it.each([
    ['gzip', gunzipSync],
    ['br', brotliDecompressSync],
    ['zstd', (bytes: Uint8Array) => execFileSync('zstd', ['-dc'], { input: bytes })],
  ] as const)('%s has its own strong ETag and length', async (encoding, unpack) => {
    const response = await ask(`/v1/btf/${el7.release}`, { headers: { 'accept-encoding': encoding } })
    const digest = sha256Of(bytesOf.el7)
    expect(response.headers.get('content-encoding')).toBe(encoding)
    expect(response.headers.get('etag')).toBe(`"${digest}-${encoding}"`)
    expect(response.headers.get('btfhub-digest')).toBe(digest)
    const bytes = await body(response)
    expect(response.headers.get('content-length')).toBe(String(bytes.byteLength))
    const base64 = createHash('sha256').update(bytes).digest('base64')
    expect(response.headers.get('repr-digest')).toBe(`sha-256=:${base64}:`)
    expect(new Uint8Array(unpack(bytes))).toEqual(bytesOf.el7)
  })

  it('are not sent to who did not ask or refused', async () => {
    for (const accept of [undefined, 'identity', 'gzip;q=0', 'deflate']) {
      const headers: Record<string, string> = accept === undefined ? {} : { 'accept-encoding': accept }
      const response = await ask(`/v1/btf/${el7.release}`, { headers })
      expect(response.headers.get('content-encoding')).toBeNull()
      expect(response.headers.get('vary')).toBe('Accept-Encoding')
    }
  })

  it('are not put on top of a compressed form', async () => {
    const path = `/centos/7/x86_64/${el7.release}.btf.gz`
    const response = await ask(path, { headers: { 'accept-encoding': 'gzip, br' } })
    expect(response.headers.get('content-encoding')).toBeNull()
    expect(gunzipSync(await body(response))).toEqual(Buffer.from(bytesOf.el7))
  })
})

describe('conditions and ranges', () => {
  const path = `/v1/btf/${el7.release}`
  const etag = `"${sha256Of(bytesOf.el7)}"`
  const date = 'Fri, 02 Jan 2026 03:04:05 GMT'

  it.each([
    ['If-None-Match', { 'if-none-match': etag }, 304],
    ['If-Modified-Since', { 'if-modified-since': date }, 304],
    ['another tag', { 'if-none-match': '"x"', 'if-modified-since': date }, 200],
    ['the tag of another encoding', { 'if-none-match': etag, 'accept-encoding': 'gzip' }, 200],
    ['If-Match that fails', { 'if-match': '"x"' }, 412],
    ['If-Unmodified-Since that fails', { 'if-unmodified-since': 'Thu, 01 Jan 2026 00:00:00 GMT' }, 412],
    ['a range', { range: 'bytes=1-2' }, 206],
    ['a range with the right If-Range', { range: 'bytes=1-2', 'if-range': etag }, 206],
    ['a range with another If-Range', { range: 'bytes=1-2', 'if-range': '"x"' }, 200],
    ['a range behind the end', { range: 'bytes=999999999-' }, 416],
    ['several ranges', { range: 'bytes=1-2,4-5' }, 200],
    ['a range of what is unchanged', { range: 'bytes=1-2', 'if-none-match': etag }, 304],
  ])('%s', async (_, headers, status) => {
    const response = await ask(path, { headers })
    expect(response.status).toBe(status)
    const bytes = await body(response)
    if (status === 304) {
      expect(bytes.byteLength).toBe(0)
      expect(response.headers.get('etag')).toBe(etag)
      expect(response.headers.get('content-length')).toBeNull()
    }
    if (status === 206) {
      expect(bytes).toEqual(bytesOf.el7.subarray(1, 3))
      expect(response.headers.get('content-range')).toBe(`bytes 1-2/${bytesOf.el7.byteLength}`)
      expect(response.headers.get('content-length')).toBe('2')
    }
    if (status === 416)
      expect(response.headers.get('content-range')).toBe(`bytes */${bytesOf.el7.byteLength}`)
    if (status === 200 && !('accept-encoding' in headers)) expect(bytes).toEqual(bytesOf.el7)
  })

  it('a range of an encoded form is a range of its bytes', async () => {
    const headers = { 'accept-encoding': 'gzip' }
    const whole = await body(await ask(path, { headers }))
    const part = await ask(path, { headers: { ...headers, range: 'bytes=-5' } })
    expect(part.headers.get('content-encoding')).toBe('gzip')
    expect(await body(part)).toEqual(whole.subarray(-5))
  })

  it.each([
    [path],
    [`/v1/btf/${plus}?format=gz`],
    [`/v1/blobs/sha256/${sha256Of(bytesOf.el7)}`],
    ['/v1/btf/nope'],
  ])('HEAD %s says what GET says, without a body', async (path) => {
    const head = await ask(path, { method: 'HEAD' })
    const get = await ask(path)
    expect(head.status).toBe(get.status)
    expect(Object.fromEntries(head.headers)).toEqual(Object.fromEntries(get.headers))
    expect((await body(head)).byteLength).toBe(0)
  })

  it('HEAD has no ranges', async () => {
    const response = await ask(path, { method: 'HEAD', headers: { range: 'bytes=0-0' } })
    expect([response.status, response.headers.get('content-length')]).toEqual([
      200,
      String(bytesOf.el7.byteLength),
    ])
  })
})

describe('blobs', () => {
  it('are immutable, in capitals too', async () => {
    const digest = sha256Of(bytesOf.el7)
    for (const name of [digest, digest.toUpperCase()]) {
      const response = await ask(`/v1/blobs/sha256/${name}`)
      expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
      expect(response.headers.get('btfhub-match')).toBe('digest')
      expect(await body(response)).toEqual(bytesOf.el7)
    }
  })

  it('that are not there are 404, names that are no digest 400', async () => {
    expect((await ask(`/v1/blobs/sha256/${'0'.repeat(64)}`)).status).toBe(404)
    expect((await ask('/v1/blobs/sha256/xyz')).status).toBe(400)
  })
})

describe('kernels', () => {
  it('come in pages that cover all of them once, in order', async () => {
    const all = api.KernelPage.parse(await (await ask('/v1/kernels')).json())
    expect(all.next_cursor).toBeNull()
    const seen: api.KernelSummary[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const response = await ask(`/v1/kernels?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`)
      const page: api.KernelPage = api.KernelPage.parse(await response.json())
      seen.push(...page.kernels)
      cursor = page.next_cursor
    }
    expect(seen).toEqual(all.kernels)
    expect(seen.length).toBeGreaterThanOrEqual(4)
  })

  it.each([
    ['distro=ubuntu', 2],
    ['distro=ubuntu&version=bionic', 1],
    ['version=7.9', 1],
    ['arch=arm64', 2],
    ['q=generic', 2],
    [`release=${enc(plus)}`, 1],
    [`release=${plus}`, 1],
    ['origin=dwarf', 0],
    ['distro=nope', 0],
  ])('filtered by %s', async (query, count) => {
    const page = api.KernelPage.parse(await (await ask(`/v1/kernels?${query}`)).json())
    expect(page.kernels).toHaveLength(count)
  })

  it('one kernel has its builds and where they come from', async () => {
    const response = await ask(`/v1/kernels/debian/bookworm/amd64/${enc(plus)}`)
    const kernel = api.KernelDetail.parse(await response.json())
    expect(kernel.builds[0]?.provenance.package_name).toBe(`linux-image-${plus}`)
    expect((await ask('/v1/kernels/debian/12/x86_64/nope')).status).toBe(404)
  })
})

describe('resolve', () => {
  const post = (body: unknown): Promise<Response> =>
    ask('/v1/resolve', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })

  it('tells the build and what to fetch', async () => {
    const answer = api.ResolveAnswer.parse(await (await post({ build_id: focalId, tool: 'both' })).json())
    expect(answer).toMatchObject({ match: 'build-id', tool: 'both@1.0', build: { kernel: focal } })
    const bytes = await body(await ask(answer.btf.url))
    expect([sha256Of(bytes), bytes.byteLength]).toEqual([answer.btf.digest, answer.btf.size_bytes])
  })

  it('assumes no architecture', async () => {
    expect((await post({ release: focal.release })).status).toBe(409)
    expect((await post({ release: focal.release, version: '20.04', distro: 'ubuntu' })).status).toBe(200)
  })

  it.each([
    ['nothing', {}, 400, 'BAD_REQUEST'],
    ['no JSON', '{', 400, 'BAD_REQUEST'],
    ['a list', [], 400, 'BAD_REQUEST'],
    ['null', 'null', 400, 'BAD_REQUEST'],
    ['a number for a name', { release: 5 }, 400, 'BAD_REQUEST'],
    ['a field that nobody knows', { release: 'a', relaese: 'b' }, 400, 'BAD_REQUEST'],
    [
      'a build-id of one and the release of another',
      { build_id: focalId, release: plus },
      400,
      'CONTRADICTION',
    ],
    ['64 KiB', { banner: 'x'.repeat(70_000) }, 413, 'TOO_LARGE'],
    ['a prototype', '{"__proto__":{"release":"a"}}', 400, 'BAD_REQUEST'],
  ])('refuses %s', async (_, body, status, code) => {
    const response = await post(body)
    expect(response.status).toBe(status)
    expect((await problem(response)).code).toBe(code)
  })

  it('refuses what does not say that it is JSON', async () => {
    const response = await ask('/v1/resolve', { method: 'POST', body: '{}' })
    expect((await problem(response)).code).toBe('UNSUPPORTED_MEDIA')
  })
})

describe('tools', () => {
  it('are listed with their objects', async () => {
    const { tools } = api.ToolList.parse(await (await ask('/v1/tools')).json())
    expect(tools.map((tool) => tool.name)).toEqual(expect.arrayContaining(['both', 'pids']))
    const one = api.ToolDetail.parse(await (await ask('/v1/tools/both@1.0')).json())
    expect(one.versions[0]?.objects[0]?.name).toBe('both.bpf.o')
    expect((await ask('/v1/tools/nope')).status).toBe(404)
  })
})

describe('bad requests', () => {
  it.each([
    ['/v1/btf/%00', 400],
    ['/v1/btf/a%2Fb', 400],
    ['/v1/btf/..%2f..%2fetc%2fpasswd', 400],
    ['/v1/btf/%zz', 400],
    ['/v1/btf/%ff%fe', 400],
    [`/v1/btf/${'a'.repeat(201)}`, 400],
    [`/v1/btf/${'a'.repeat(5000)}`, 400],
    [`/v1/btf/${el7.release}?arch=pdp11`, 400],
    [`/v1/btf/${el7.release}?distor=centos`, 400],
    [`/v1/btf/${el7.release}?arch=x86_64&arch=arm64`, 400],
    [`/v1/btf/${el7.release}?format=zip`, 400],
    [`/v1/btf/${el7.release}?variant=half`, 400],
    [`/v1/btf/${el7.release}?build_id=1`, 400],
    [`/v1/btf/${el7.release}?distro=`, 400],
    [`/v1/btf/${el7.release}?tool=${'a'.repeat(300)}`, 400],
    ['/v1/kernels?limit=0', 400],
    ['/v1/kernels?limit=1e9', 400],
    ['/v1/kernels?limit=x', 400],
    ['/v1/kernels?cursor=%00', 400],
    ['/v1/kernels?cursor=YWJj', 400],
    ['/v1/kernels?arch=pdp11', 400],
    ['/v1/kernels/a/b/x86_64/%2e%2e%2f', 400],
    ['/centos/7/x86_64/..%2f..%2fetc%2fpasswd.btf', 400],
    ['/centos/7/pdp11/a.btf', 400],
    ['/buildid/xyz/section/.BTF', 400],
    ['/coolbpf/btf/x86_64/vmlinux-%00', 400],
    ['/buildid/abababababababab/section/.text', 404],
    ['/nope', 404],
    ['/centos/7/x86_64/a.txt', 404],
    ['/etc/passwd', 404],
    ['//', 404],
  ])('%s is %i, as a problem', async (path, status) => {
    const response = await ask(path)
    expect(response.status).toBe(status)
    await problem(response)
  })

  it('other methods are told which ones there are', async () => {
    const response = await ask('/v1/tools', { method: 'DELETE' })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    const get = await ask('/v1/resolve')
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST'])
    expect((await ask('/nope', { method: 'POST' })).status).toBe(404)
  })
})

describe('everything else', () => {
  it('describes itself', async () => {
    const doc = (await (await ask('/openapi.json')).json()) as {
      paths: object
      components: { schemas: object }
    }
    expect(Object.keys(doc.paths)).toEqual(
      expect.arrayContaining(['/v1/btf/{release}', '/v1/min/{tool}/{release}', '/v1/resolve', '/v1/kernels']),
    )
    expect(Object.keys(doc.components.schemas)).toEqual(
      expect.arrayContaining(['Problem', 'Build', 'ResolveAnswer']),
    )
  })

  it('says what it is, as text or as a page that cannot run anything', async () => {
    const text = await ask('/')
    expect(await text.text()).toContain('curl -fsSL http://localhost/get.sh | sh')
    const page = await ask('/', { headers: { accept: 'text/html' } })
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(await page.text()).toContain('<h1>btfhub</h1>')
  })

  it('is healthy, and ready until it drains', async () => {
    expect(await (await ask('/healthz')).text()).toBe('ok\n')
    expect((await ask('/readyz')).status).toBe(200)
    hub.draining = true
    expect((await ask('/readyz')).status).toBe(503)
    hub.draining = false
  })
})
