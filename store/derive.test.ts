import { readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sha256Of, type Sha256 } from '../core/digest.ts'
import { all, sample } from './blobs.case.ts'
import { createDerived } from './derive.ts'
import { openStore, type Store } from './open.ts'
import { flipByte, scratch } from './scratch.fixture.ts'
import type { BlobStore } from './types.ts'

const pathOf = (dir: string, digest: Sha256): string =>
  join(dir, 'blobs-v1', 'sha256', digest.slice(0, 2), digest.slice(2, 4), digest)

async function open(dir: string, readOnly = false): Promise<Store> {
  const store = await openStore(dir, { readOnly })
  onTestFinished(() => store.close())
  return store
}

/** A store with one blob. */
async function withBlob(bytes = sample(100_000)): Promise<{ dir: string; store: Store; from: Sha256 }> {
  const dir = await scratch()
  const store = await open(dir)
  const { digest: from } = await store.blobs.put(bytes)
  return { dir, store, from }
}

describe('a derived form', () => {
  it('is made once, kept as a blob, and found again by other openers', async () => {
    const { dir, store, from } = await withBlob()
    const made = await store.derived.get(from, 'gz')
    expect(sha256Of(gunzipSync(await made.read()))).toBe(from)
    expect(await store.catalog.derived(from, 'gz')).toEqual({
      digest: made.digest,
      sizeBytes: made.sizeBytes,
    })
    const inode = await all(store.blobs)
    const again = await (await open(dir, true)).derived.get(from, 'gz')
    expect(again.digest).toBe(made.digest)
    expect(sha256Of(await again.read())).toBe(made.digest)
    expect(await all(store.blobs)).toEqual(inode)
  })

  it('is streamed whole and in parts', async () => {
    const { store, from } = await withBlob()
    const made = await store.derived.get(from, 'elf:x86_64')
    const whole = await made.read()
    expect(sha256Of(await buffer(await made.open()))).toBe(made.digest)
    expect(
      Buffer.compare(await buffer(await made.open({ start: 64, end: 99 })), whole.subarray(64, 99)),
    ).toBe(0)
  })

  it('that somebody else makes is kept too, and others are made of it, also where the store takes nothing', async () => {
    const { dir, store, from } = await withBlob()
    const lower = (): Promise<Uint8Array> => Promise.resolve(sample(90_000))
    await store.close()
    const readOnly = await open(dir, true)
    const inMemory = await readOnly.derived.getMade(from, 'compat:0.4', lower)
    expect(readOnly.derived.kept(inMemory.digest)?.digest).toBe(inMemory.digest)
    const packed = await readOnly.derived.get(inMemory.digest, 'gz')
    expect(sha256Of(gunzipSync(await packed.read()))).toBe(inMemory.digest)
    const writable = await open(dir)
    const made = await writable.derived.getMade(from, 'compat:0.4', lower)
    expect(made.digest).toBe(inMemory.digest)
    expect(await writable.catalog.derived(from, 'compat:0.4')).not.toBeNull()
    const throwing = (): Promise<never> => Promise.reject(new Error('made again'))
    expect((await writable.derived.getMade(from, 'compat:0.4', throwing)).digest).toBe(made.digest)
    expect(writable.derived.kept(made.digest)).toBeNull()
  })

  it('is made once for many who ask at the same time', async () => {
    const { store, from } = await withBlob()
    let reads = 0
    const counting: BlobStore = Object.assign(Object.create(store.blobs) as BlobStore, {
      read: (digest: Sha256) => (reads++, store.blobs.read(digest)),
      put: (bytes: Uint8Array) => store.blobs.put(bytes),
      open: (digest: Sha256) => store.blobs.open(digest),
    })
    const derived = createDerived({ blobs: counting, catalog: store.catalog })
    const made = await Promise.all(Array.from({ length: 50 }, () => derived.get(from, 'xz')))
    expect(new Set(made.map((blob) => blob.digest)).size).toBe(1)
    expect(reads).toBe(1)
  })

  it.each([
    ['was flipped in a byte', (path: string) => flipByte(path, 20)],
    ['was cut off', (path: string) => truncate(path, 20)],
    ['was replaced by nothing', (path: string) => writeFile(path, '')],
  ])('whose blob %s is made again', async (_, damage) => {
    const { dir, store, from } = await withBlob()
    const { digest } = await store.derived.get(from, 'gz')
    await damage(pathOf(dir, digest))
    const other = await open(dir)
    const again = await other.derived.get(from, 'gz')
    expect(sha256Of(await again.read())).toBe(digest)
    expect(sha256Of(await store.blobs.read(digest))).toBe(digest)
  })

  it('whose blob is damaged or removed between being got and being read is made again', async () => {
    const { dir, store, from } = await withBlob()
    const made = await store.derived.get(from, 'gz')
    await flipByte(pathOf(dir, made.digest), 20)
    expect(sha256Of(await made.read())).toBe(made.digest)
    await store.blobs.remove(made.digest)
    expect(sha256Of(await buffer(await made.open()))).toBe(made.digest)
    expect(await store.blobs.size(made.digest)).toBe(made.sizeBytes)
  })

  it('of a blob that is not there, or is damaged, is refused, and works when the blob is back', async () => {
    const { dir, store, from } = await withBlob()
    await expect(store.derived.get(sha256Of('absent'), 'gz')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await flipByte(pathOf(dir, from), 5)
    await expect(store.derived.get(from, 'gz')).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(await store.catalog.derived(from, 'gz')).toBeNull()
    await store.blobs.remove(from)
    await store.blobs.put(sample(100_000))
    expect(sha256Of(gunzipSync(await (await store.derived.get(from, 'gz')).read()))).toBe(from)
  })

  it('is given from memory where nothing may be written, and nothing is', async () => {
    const { dir, store, from } = await withBlob()
    await store.close()
    const names = (await readdir(dir, { recursive: true })).filter((name) => !/-(wal|shm)$/.test(name)).sort()
    const reader = await open(dir, true)
    const made = await reader.derived.get(from, 'tar.xz:a.btf')
    expect(sha256Of(await made.read())).toBe(made.digest)
    expect((await buffer(await made.open({ start: 1, end: 5 }))).toString()).toBe('7zXZ')
    expect((await reader.derived.get(from, 'tar.xz:a.btf')).digest).toBe(made.digest)
    await reader.close()
    expect(
      (await readdir(dir, { recursive: true })).filter((name) => !/-(wal|shm)$/.test(name)).sort(),
    ).toEqual(names)
  })

  it('is made again in memory where a damaged one cannot be replaced', async () => {
    const { dir, store, from } = await withBlob()
    const { digest } = await store.derived.get(from, 'gz')
    await store.close()
    await flipByte(pathOf(dir, digest), 20)
    const made = await (await open(dir, true)).derived.get(from, 'gz')
    expect(sha256Of(await made.read())).toBe(digest)
  })
})
