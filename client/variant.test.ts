import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { layoutDigest, mergeBtf, parseBtf, validateBtf } from '../btf/index.ts'
import { frameBtf } from '../btf/encode.ts'
import { Kind, makeInfo } from '../btf/wire.ts'
import { sha256Of } from '../core/digest.ts'
import { silentLog } from '../core/log.ts'
import { type RunningRegistry, startRegistry } from '../registry/index.ts'
import { readAsOld } from '../test/helpers/old-reader.ts'
import { addKernel, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { type Client, createClient } from './client.ts'
import { get } from './get.ts'
import { readHost } from './host.ts'

const release = '6.1.0-1-amd64'
const base = tinyKernel()
const kernel = parseBtf(base)
/** A FLOAT, which readers of old do not know. */
const veth = frameBtf(
  Uint32Array.of(kernel.strings.end, makeInfo(Kind.FLOAT, 0, false), 8),
  Buffer.from('double\0'),
  kernel.endian,
)
const merged = mergeBtf(kernel, [parseBtf(veth, { base: kernel })])

let store: TestStore
let registry: RunningRegistry
let dir: string
let client: Client

beforeAll(async () => {
  store = await openTestStore()
  const { id } = await addKernel(store, {
    kernel: { distro: 'debian', version: '12', arch: 'x86_64', release },
    btf: base,
  })
  await store.catalog.putModules(id, {
    modules: [{ name: 'veth', origin: 'embedded', btf: await store.blobs.put(veth) }],
    merged: await store.blobs.put(merged),
    mergedLayout: layoutDigest(parseBtf(merged)),
  })
  registry = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  client = createClient({ hubs: [registry.url], cacheDir: dir })
})

afterAll(async () => {
  await client.close()
  await registry.stop()
  await store.cleanUp()
  await rm(dir, { recursive: true })
})

describe('a client', () => {
  it('fetches one module, checked on its base, which it fetches too', async () => {
    const fetched = await client.fetchBtf({ release, module: 'veth' })
    expect(fetched).toMatchObject({
      digest: sha256Of(veth),
      kernel: `debian/12/x86_64/${release}`,
      from: 'hub',
    })
    expect(sha256Of(await readFile(fetched.base as string))).toBe(sha256Of(base))
    expect((await client.fetchBtf({ release, module: 'veth' })).from).toBe('cache')
    await expect(client.fetchBtf({ release, module: 'ext4' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('fetches the kernel with its modules, in any form and at any level', async () => {
    const whole = await client.fetchBtf({ release, variant: 'merged' })
    expect(whole.digest).toBe(sha256Of(merged))
    expect(whole.base).toBeUndefined()
    const packed = await client.fetchForm({ release, variant: 'merged', compat: '0.3' }, 'tar.xz')
    expect(packed.path).toMatch(/\.tar\.xz$/)
    const old = await client.fetchBtf({ release, variant: 'merged', compat: '0.3' })
    const bytes = await readFile(old.path)
    validateBtf(parseBtf(bytes))
    expect(readAsOld(bytes, 15)).toHaveLength(parseBtf(merged).idCount - 1)
  })

  it('asks for them also where the host has its kernel’s own BTF', async () => {
    const host = { ...(await readHost()), release, arch: 'x86_64', kernelBtf: '/sys/kernel/btf/vmlinux' }
    const told = { ...host, buildId: null, banner: null, osRelease: null }
    expect(await get({ release }, { client, host: told })).toMatchObject({ from: 'kernel' })
    expect(await get({ release, module: 'veth' }, { client, host: told })).toMatchObject({
      digest: sha256Of(veth),
    })
    expect(await get({ release, compat: '0.3' }, { client, host: told })).not.toMatchObject({
      from: 'kernel',
    })
  })
})
