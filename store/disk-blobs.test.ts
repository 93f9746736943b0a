import { mkdir, readdir, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sha256Of, type Sha256 } from '../core/digest.ts'
import { mount, canMount } from './mount.fixture.ts'
import { all, describeBlobStore, sample } from './blobs.case.ts'
import { flipByte, scratch } from './scratch.fixture.ts'
import { blobTempDir, openDiskBlobs } from './disk-blobs.ts'

const pathOf = (dir: string, digest: Sha256): string =>
  join(dir, 'blobs-v1', 'sha256', digest.slice(0, 2), digest.slice(2, 4), digest)

describeBlobStore('a folder', async () => openDiskBlobs(await scratch()))

describe('blobs in a folder', () => {
  it('are there after opening it again, and for every other opener', async () => {
    const dir = await scratch()
    const [first, second] = [await openDiskBlobs(dir), await openDiskBlobs(dir)]
    const { digest } = await first.put(sample(5000))
    expect(sha256Of(await second.read(digest))).toBe(digest)
    expect(sha256Of(await (await openDiskBlobs(dir, { readOnly: true })).read(digest))).toBe(digest)
  })

  it('tell a flipped byte and a cut-off end from a good blob', async () => {
    const dir = await scratch()
    const blobs = await openDiskBlobs(dir)
    const flipped = await blobs.put(sample(5000))
    const short = await blobs.put(sample(6000))
    await flipByte(pathOf(dir, flipped.digest), 2500)
    await truncate(pathOf(dir, short.digest), 5999)
    await expect(blobs.read(flipped.digest)).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining(`blob ${flipped.digest}: its 5000 bytes`),
    })
    await expect(blobs.read(short.digest)).rejects.toMatchObject({ code: 'CORRUPT' })
  })

  it('heal when a torn one is put again', async () => {
    const dir = await scratch()
    const blobs = await openDiskBlobs(dir)
    const { digest } = await blobs.put(sample(6000))
    await truncate(pathOf(dir, digest), 0)
    await blobs.put(sample(6000))
    expect(sha256Of(await blobs.read(digest))).toBe(digest)
  })

  it('leave strangers in the folder alone and unlisted', async () => {
    const dir = await scratch()
    const blobs = await openDiskBlobs(dir)
    const { digest } = await blobs.put(sample(10))
    const leaf = join(pathOf(dir, digest), '..')
    await writeFile(join(leaf, 'README'), 'x')
    await writeFile(join(leaf, sha256Of('elsewhere')), 'elsewhere')
    await writeFile(join(dir, 'blobs-v1', 'sha256', 'zz'), 'x')
    expect((await all(blobs)).map((blob) => blob.digest)).toEqual([digest])
  })

  it('keep a blob that is put again while it is being removed as old', async () => {
    const dir = await scratch()
    const blobs = await openDiskBlobs(dir)
    const bytes = sample(2000)
    const { digest } = await blobs.put(bytes)
    const longAgo = new Date(Date.now() - 7200_000)
    for (let round = 0; round < 100; round++) {
      await utimes(pathOf(dir, digest), longAgo, longAgo)
      const since = new Date(Date.now() - 3600_000)
      await Promise.all([blobs.remove(digest, { unlessPutSince: since }), blobs.put(bytes)])
      expect(await blobs.size(digest)).toBe(2000)
    }
  })

  it('leave no temporary file behind', async () => {
    const dir = await scratch()
    const blobs = await openDiskBlobs(dir)
    const { digest } = await blobs.put(sample(100))
    await blobs.put(sample(100))
    await blobs.remove(digest)
    expect(await readdir(blobTempDir(dir))).toEqual([])
  })

  it('are neither put nor removed by who opened them for reading', async () => {
    const dir = await scratch()
    const { digest } = await (await openDiskBlobs(dir)).put(sample(10))
    const reader = await openDiskBlobs(dir, { readOnly: true })
    await expect(reader.put(sample(11))).rejects.toMatchObject({ code: 'READ_ONLY' })
    await expect(reader.remove(digest)).rejects.toMatchObject({ code: 'READ_ONLY' })
    expect(await reader.size(digest)).toBe(10)
  })

  it('are simply not there in a folder that does not exist and is opened for reading', async () => {
    const reader = await openDiskBlobs(join(await scratch(), 'absent'), { readOnly: true })
    expect(await reader.size(sha256Of(''))).toBeNull()
    expect(await all(reader)).toEqual([])
  })

  it('say so where the folder cannot be made', async () => {
    const dir = await scratch()
    await writeFile(join(dir, 'file'), '')
    await expect(openDiskBlobs(join(dir, 'file'))).rejects.toMatchObject({ code: 'IO' })
  })

  it('say that a blob could not be read where its path is a folder, not that it is absent', async () => {
    const dir = await scratch()
    const blobs = await openDiskBlobs(dir)
    const digest = sha256Of('folder')
    await mkdir(pathOf(dir, digest), { recursive: true })
    await expect(blobs.read(digest)).rejects.toMatchObject({ code: 'IO' })
  })
})

describe.skipIf(!canMount)('blobs on a disk of their own (skipped where nothing can be mounted)', () => {
  it('refuse what does not fit, keep what they have, and go on when there is room', async () => {
    const dir = await scratch()
    onTestFinished(await mount(['-t', 'tmpfs', '-o', 'size=512k', 'btfhub-test', dir], dir))
    const blobs = await openDiskBlobs(dir)
    const kept = await blobs.put(sample(200_000))
    await expect(blobs.put(sample(600_000))).rejects.toMatchObject({
      code: 'IO',
      cause: expect.objectContaining({ code: 'ENOSPC' }),
    })
    expect(await all(blobs)).toMatchObject([kept])
    expect(await readdir(blobTempDir(dir))).toEqual([])
    expect((await blobs.put(sample(200_001))).sizeBytes).toBe(200_001)
  })

  it('are read where nothing can be written, and say so when written to', async () => {
    const dir = await scratch()
    const { digest } = await (await openDiskBlobs(dir)).put(sample(1000))
    onTestFinished(await mount(['--bind', dir, dir], dir))
    const blobs = await openDiskBlobs(dir)
    const remounted = await mount(['-o', 'remount,bind,ro', dir], null)
    onTestFinished(remounted)
    expect((await buffer(await blobs.open(digest))).byteLength).toBe(1000)
    await expect(blobs.put(sample(1001))).rejects.toMatchObject({ code: 'READ_ONLY' })
    await expect(blobs.put(sample(1000))).rejects.toMatchObject({ code: 'READ_ONLY' })
    const reader = await openDiskBlobs(dir, { readOnly: true })
    expect(sha256Of(await reader.read(digest))).toBe(digest)
  })
})
