import { execFileSync } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { layoutDigest, parseBtf } from '../../btf/index.ts'
import { createClient, type KernelQuery } from '../../client/index.ts'
import { FORMS } from '../../client/forms.ts'
import { sha256Of } from '../../core/digest.ts'
import { silentLog } from '../../core/log.ts'
import { MinBtfs } from '../../registry/index.ts'
import { exportTo, testKey } from '../../test/helpers/export.ts'
import { serveFiles } from '../../test/helpers/file-server.ts'
import { plausibleKernel } from '../../test/helpers/plausible-kernel.ts'
import { addTool, compileTool } from '../../test/helpers/registry.ts'
import { openTestStore, sampleBuild, type TestStore, withTestStore } from '../../test/helpers/store.ts'
import { importExport } from '../hub/import-export.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { extractBytes } from '../input.ts'
import { folderSource } from './folder-source.ts'
import { verifyTree } from './verify-tree.ts'

const key = testKey()
const signal = new AbortController().signal
const release = '6.1.0-1-amd64'
const kernel = { distro: 'debian', version: '12', arch: 'x86_64', release } as const
const buildId = 'ab'.repeat(20)
const btf = plausibleKernel(8)
const object = compileTool(['pid'])
const blob = (digest: string): string => `v1/blobs/sha256/${digest}`

let store: TestStore
let dir: string
let tree: string
let server: Awaited<ReturnType<typeof serveFiles>>
let paths: Record<string, string>

beforeAll(async () => {
  store = await openTestStore()
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  tree = join(dir, 'tree')
  await store.blobs.put(btf)
  const build = await store.catalog.addBuild({
    ...sampleBuild({ kernel, btf, provenance: { buildId } }),
    layoutDigest: layoutDigest(parseBtf(btf)),
  })
  const tool = await addTool(store, 'pids', '1', object)
  const min = await new MinBtfs({ ...store, log: silentLog }).get(tool, build.btf.digest)
  await exportTo(tree, store, key, { copies: true })
  const { payload } = JSON.parse(await readFile(join(tree, 'v1/index.json'), 'utf8')) as { payload: string }
  const index = JSON.parse(payload) as Record<string, string> & {
    release_shards: string[]
    build_id_shards: string[]
  }
  paths = {
    index: 'v1/index.json',
    signature: 'v1/index.json',
    manifest: blob(index['manifest'] as string),
    'release shard': blob(index.release_shards[0] as string),
    'build-id shard': blob(index.build_id_shards[0] as string),
    'tool list': blob(index['tool_list'] as string),
    blob: blob(build.btf.digest),
    'min blob': blob(min.digest),
    object: blob(sha256Of(object)),
  }
  server = await serveFiles(tree)
})

afterAll(async () => {
  server.close()
  await store.cleanUp()
  await rm(dir, { recursive: true })
})

/** Runs `handler` while one byte of a file is another: near its end, or near its begin. */
async function flipped<T>(path: string, where: 'begin' | 'end', handler: () => Promise<T>): Promise<T> {
  const good = await readFile(join(tree, path))
  const bad = Buffer.from(good)
  const at = where === 'end' ? Math.max(0, bad.length - 10) : Math.floor(bad.length / 3)
  bad[at] = (bad[at] as number) ^ 0x01
  await writeFile(join(tree, path), bad)
  try {
    return await handler()
  } finally {
    await writeFile(join(tree, path), good)
  }
}

let caches = 0
async function fetched(query: KernelQuery, keys: readonly string[]): Promise<string> {
  const cacheDir = join(dir, `cache-${caches++}`)
  const client = createClient({ hubs: [server.url], cacheDir, keys, timeouts: { backoffMs: 1 } })
  try {
    return (await client.fetchBtf(query)).path
  } finally {
    await client.close()
  }
}

/** Imports the tree into a new store: what failed, and that nothing else came in than what the hub has. */
async function imported(keys: readonly string[]): Promise<readonly string[]> {
  return withTestStore(async (into) => {
    const outcomes = await importExport(folderSource(tree), {
      store: into,
      minMaker: createMinMaker(into, silentLog),
      keys: keys as never,
      seenDir: join(into.dataDir, 'seen'),
      modules: true,
      extract: (name, bytes) =>
        extractBytes(name, bytes, { tempDir: into.tempDir }, { log: silentLog, signal }),
      signal,
      onOutcome() {},
    })
    for (const build of await into.catalog.builds()) expect(build.btf.digest).toBe(sha256Of(btf))
    for (const tool of await into.catalog.tools()) expect(tool.objects[0]?.digest).toBe(sha256Of(object))
    return outcomes
      .filter(({ outcome }) => outcome === 'failed')
      .map(({ kernel: name, reason }) => `${name}: ${reason}`)
  })
}

/** Paths that an audit of the tree complains of. */
async function complaints(): Promise<readonly string[]> {
  const { sound, problems } = await verifyTree(tree, { keys: [], now: new Date(), signal, onProgress() {} })
  expect(sound).toBe(problems.length === 0)
  return problems.map(({ path }) => path)
}

it('untouched, an export is sound, served and imported', async () => {
  expect(await complaints()).toEqual([])
  for (const keys of [[], [key.publicKey]]) {
    expect(new Uint8Array(await readFile(await fetched(kernel, keys)))).toEqual(btf)
    expect(await imported(keys)).toEqual([])
  }
})

const full: KernelQuery = kernel
const byId: KernelQuery = { buildId }
const min: KernelQuery = { ...kernel, tool: 'pids' }

/** What is asked for while it is flipped; whether an import sees it. */
const KINDS: readonly (readonly [string, 'begin' | 'end', KernelQuery | null, boolean])[] = [
  ['index', 'begin', full, true],
  ['signature', 'end', full, true],
  ['manifest', 'end', null, false],
  ['release shard', 'begin', full, true],
  ['release shard', 'end', full, true],
  ['build-id shard', 'begin', byId, false],
  ['tool list', 'begin', null, true],
  ['blob', 'begin', full, true],
  ['blob', 'end', full, true],
  ['min blob', 'begin', min, false],
  ['object', 'begin', null, true],
]

describe('a flipped byte', () => {
  it.each(KINDS)('in the %s (%s) is found by verify', async (kind, where) => {
    await flipped(paths[kind] as string, where, async () => {
      const found = await complaints().catch((err: Error) => [err.name])
      const isIndex = kind === 'index' || kind === 'signature' || kind === 'manifest'
      expect(found).toContain(isIndex ? 'IndexError' : paths[kind])
    })
  })

  const asked = KINDS.filter(([, , query]) => query !== null)
  it.each(asked)('in the %s (%s) is refused by get, with and without a key', async (kind, where, query) => {
    await flipped(paths[kind] as string, where, async () => {
      for (const keys of [[], [key.publicKey]]) {
        await expect(fetched(query as KernelQuery, keys)).rejects.toMatchObject({ code: 'UNVERIFIED' })
      }
    })
  })

  const seen = KINDS.filter(([, , , seenByImport]) => seenByImport)
  it.each(seen)('in the %s (%s) is refused by import, with and without a key', async (kind, where) => {
    await flipped(paths[kind] as string, where, async () => {
      for (const keys of [[], [key.publicKey]]) {
        const outcome = await imported(keys).catch((err: { code: string }) => [err.code])
        expect(outcome).not.toEqual([])
      }
    })
  })
})

const OTHERS: readonly string[] = [
  ...['.btf', '.btf.gz', '.btf.xz', '.btf.tar.xz', '.btf.elf', '.elf'].flatMap((ending) => [
    `debian/12/x86_64/${release}${ending}`,
    `debian/12/x86_64/${release}${ending}.sha256`,
  ]),
  `${blob(sha256Of(btf))}.gz`,
  'catalog.json',
  'btfs/catalog.json',
  'get.sh',
  `buildid/${buildId}/section/.BTF`,
  `coolbpf/btf/x86_64/vmlinux-${release}`,
  `v1/btf/${release}`,
  `v1/min/pids@1/${release}`,
  `v1/releases/${release}`,
]

it.each(OTHERS)('a flipped byte in %s is found by verify, by its name', async (path) => {
  for (const where of ['begin', 'end'] as const) {
    expect(await flipped(path, where, complaints)).toEqual([path])
  }
})

it.each(FORMS)('a flipped byte in the %s that get is asked for is refused', async (form) => {
  const path = `debian/12/x86_64/${release}${form === 'elf' ? '' : '.btf'}.${form}`
  await flipped(path, 'begin', async () => {
    const client = createClient({
      hubs: [server.url],
      cacheDir: join(dir, `cache-${caches++}`),
      keys: [key.publicKey],
    })
    await expect(client.fetchForm(kernel, form)).rejects.toMatchObject({ code: 'UNVERIFIED' })
    await client.close()
  })
})

it('a flipped byte in a file is found by its sidecar with sha256sum alone', async () => {
  const folder = join(tree, 'debian/12/x86_64')
  const check = (): string =>
    execFileSync('sha256sum', ['-c', `${release}.btf.tar.xz.sha256`], {
      cwd: folder,
      stdio: 'pipe',
    }).toString()
  expect(check()).toContain('OK')
  await flipped(`debian/12/x86_64/${release}.btf.tar.xz`, 'begin', async () => expect(check).toThrow())
})

describe('verify also finds', () => {
  it('a file that is gone, one that was put there, and a link that leads elsewhere', async () => {
    const other = join(dir, 'other')
    await cp(tree, other, { recursive: true, verbatimSymlinks: true })
    await rm(join(other, 'catalog.json'))
    await writeFile(join(other, 'debian/12/x86_64/9.9.9-evil.btf'), btf)
    await rm(join(other, 'btfs/debian'))
    await symlink('/etc', join(other, 'btfs/debian'))
    await rm(join(other, 'get.sh'))
    await symlink('/etc/passwd', join(other, 'get.sh'))
    const { problems } = await verifyTree(other, { keys: [], now: new Date(), signal, onProgress() {} })
    expect(problems.map(({ path, message }) => `${path}: ${message.split(',')[0]}`)).toEqual([
      'btfs/debian: leads to /etc',
      'catalog.json: is missing',
      'debian/12/x86_64/9.9.9-evil.btf: is none of this export',
      'get.sh: expected a regular file',
    ])
  })

  it('an index of a key that is not the one given, and one that expired', async () => {
    const check = (options: { keys: string[]; now: Date }) =>
      verifyTree(tree, { ...(options as never as { keys: [] }), now: options.now, signal, onProgress() {} })
    await expect(check({ keys: [testKey().publicKey], now: new Date() })).rejects.toMatchObject({
      code: 'BAD_SIGNATURE',
    })
    await expect(check({ keys: [key.publicKey], now: new Date('2099-01-01') })).rejects.toMatchObject({
      code: 'EXPIRED',
    })
    expect(await check({ keys: [key.publicKey], now: new Date() })).toMatchObject({
      sound: true,
      trusted: key.publicKey,
    })
  })
})

describe('an import reads nothing by way of a symbolic link', () => {
  it.each([
    [
      'a blob that is a link to a file elsewhere',
      (other: string) => [join(other, blob(sha256Of(btf))), '/etc/passwd'],
    ],
    ['a blob that is a link to a device', (other: string) => [join(other, blob(sha256Of(btf))), '/dev/zero']],
    ['a folder that is a link', (other: string) => [join(other, 'v1'), tree + '/v1']],
  ] as const)('%s', async (_, place) => {
    const other = await mkdtemp(join(dir, 'linked-'))
    await cp(tree, other, { recursive: true, verbatimSymlinks: true })
    const [path, target] = place(other) as [string, string]
    await rm(path, { recursive: true })
    await symlink(target, path)
    const read = folderSource(other).read(`/${blob(sha256Of(btf))}`, 1 << 20)
    await expect(read).rejects.toMatchObject({
      code: 'UNVERIFIED',
      message: expect.stringContaining('symbolic link') as string,
    })
  })
})
