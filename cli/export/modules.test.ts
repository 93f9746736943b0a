import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { frameBtf } from '../../btf/encode.ts'
import { layoutDigest, mergeBtf, parseBtf } from '../../btf/index.ts'
import { Kind, makeInfo } from '../../btf/wire.ts'
import { createClient, type KernelQuery } from '../../client/index.ts'
import { sha256Of, type Sha256 } from '../../core/digest.ts'
import { KernelDetail } from '../../registry/api.ts'
import { exportTo, testKey, withScratch } from '../../test/helpers/export.ts'
import { serveFiles } from '../../test/helpers/file-server.ts'
import { addKernel, tinyKernel } from '../../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../../test/helpers/store.ts'
import { verifyTree } from './verify-tree.ts'

const key = testKey()
const release = '6.1.0-1-amd64'
const bytes = tinyKernel()
const base = parseBtf(bytes)
const split = (sizeBytes: number): Uint8Array =>
  frameBtf(
    Uint32Array.of(base.strings.end, makeInfo(Kind.FLOAT, 0, false), sizeBytes),
    Buffer.from('double\0'),
    base.endian,
  )
const veth = split(8)
const merged = mergeBtf(base, [parseBtf(veth, { base })])

let store: TestStore

async function addBuild(name: string, module: Uint8Array | null): Promise<void> {
  const { id } = await addKernel(store, {
    kernel: { distro: 'debian', version: '12', arch: 'x86_64', release: name },
    key: `${name} ${module === null ? 'bare' : sha256Of(module)}`,
    btf: bytes,
    layout: 'all alike',
  })
  if (module === null) return
  const whole = mergeBtf(base, [parseBtf(module, { base })])
  await store.catalog.putModules(id, {
    modules: [{ name: 'veth', origin: 'embedded', btf: await store.blobs.put(module) }],
    merged: await store.blobs.put(whole),
    mergedLayout: layoutDigest(parseBtf(whole)),
  })
}

beforeAll(async () => {
  store = await openTestStore()
  await addBuild(release, veth)
  await addBuild('bare', null)
  // The kernels are alike, their modules are not.
  await addBuild('two', split(4))
  await addBuild('two', split(8))
  await addBuild('half', veth)
  await addBuild('half', null)
})
afterAll(() => store.cleanUp())

const audit = (dir: string) =>
  verifyTree(dir, { keys: [], now: new Date(), signal: new AbortController().signal, onProgress() {} })

it('an export has a build’s modules, by name for people and in its index for get', () =>
  withScratch(async (dir) => {
    const tree = join(dir, 'tree')
    await exportTo(tree, store, key)
    expect((await audit(tree)).problems).toEqual([])
    const text = await readFile(join(tree, `v1/kernels/debian/12/x86_64/${release}`), 'utf8')
    const [build] = KernelDetail.parse(JSON.parse(text)).builds
    const blob = async (url: string): Promise<Sha256> => sha256Of(await readFile(join(tree, url)))
    expect(await blob(build?.modules[0]?.btf.url ?? '')).toBe(sha256Of(veth))
    expect(await blob(build?.merged?.url ?? '')).toBe(sha256Of(merged))

    const server = await serveFiles(tree)
    const client = createClient({ hubs: [server.url], cacheDir: join(dir, 'cache'), keys: [key.publicKey] })
    const ask = async (query: KernelQuery): Promise<string> =>
      client.fetchBtf(query).then(
        ({ digest }) => digest,
        (err: { code: string }) => err.code,
      )
    try {
      expect(await ask({ release, module: 'veth' })).toBe(sha256Of(veth))
      expect(await ask({ release, variant: 'merged' })).toBe(sha256Of(merged))
      expect(await ask({ release, module: 'absent' })).toBe('NOT_FOUND')
      expect(await ask({ release, variant: 'merged', compat: 'float' as never })).toBe('NOT_FOUND')
      expect(await ask({ release: 'bare', variant: 'merged' })).toBe('NOT_FOUND')
      expect(await ask({ release: 'two', module: 'veth' })).toBe('AMBIGUOUS')
      expect(await ask({ release: 'half', module: 'veth' })).toBe('AMBIGUOUS')
    } finally {
      await client.close()
      server.close()
    }
  }))

it('without modules, nothing of them is there; with them again, all of it', () =>
  withScratch(async (dir) => {
    const now = new Date()
    const tree = join(dir, 'tree')
    const all = await exportTo(tree, store, key, { now })
    const less = await exportTo(tree, store, key, { now, modules: false })
    expect(less.files).toBeLessThan(all.files)
    expect((await audit(tree)).problems).toEqual([])
    await expect(readFile(join(tree, `v1/kernels/debian/12/x86_64/${release}`))).rejects.toThrow('ENOENT')
    expect((await exportTo(tree, store, key, { now })).files).toBe(all.files)
    expect((await audit(tree)).problems).toEqual([])
  }))

it('a module that is gone or damaged is found by verify', () =>
  withScratch(async (dir) => {
    const tree = join(dir, 'tree')
    await exportTo(tree, store, key, { copies: true })
    const path = `v1/blobs/sha256/${sha256Of(veth)}`
    await rm(join(tree, path))
    expect((await audit(tree)).problems).toEqual([{ path, message: 'is missing' }])
  }))
