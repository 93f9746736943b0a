import { buffer } from 'node:stream/consumers'
import { beforeEach, describe, expect, it } from 'vitest'
import { sha256Of } from '../core/digest.ts'
import type { BlobStore, StoredBlob } from './types.ts'

/** What every blob store must do, run by each implementation with its own way to open an empty one. */
export function describeBlobStore(name: string, open: () => Promise<BlobStore>): void {
  describe(`${name} as a blob store`, () => {
    let blobs: BlobStore
    beforeEach(async () => {
      blobs = await open()
    })

    it.each([
      ['nothing', 0],
      ['one byte', 1],
      ['a small blob', 4099],
      ['a blob of many chunks', 3_000_017],
    ])('gives back %s exactly as it was put', async (_, sizeBytes) => {
      const bytes = sample(sizeBytes)
      const ref = await blobs.put(bytes)
      expect(ref).toEqual({ digest: sha256Of(bytes), sizeBytes })
      expect(await blobs.size(ref.digest)).toBe(sizeBytes)
      expect(await blobs.stat(ref.digest)).toEqual({ ...ref, storedAt: expect.any(Date) as Date })
      expect(Buffer.compare(await blobs.read(ref.digest), bytes)).toBe(0)
      expect(Buffer.compare(await buffer(await blobs.open(ref.digest)), bytes)).toBe(0)
    })

    it('tells a blob that is not there from one that is', async () => {
      const absent = sha256Of('absent')
      expect(await blobs.size(absent)).toBeNull()
      expect(await blobs.stat(absent)).toBeNull()
      await expect(blobs.link(absent, '/nowhere/at/all')).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await expect(blobs.read(absent)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await expect(blobs.open(absent)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await expect(blobs.open(absent, { start: 0, end: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect(await blobs.remove(absent)).toBe(false)
      expect(await all(blobs)).toEqual([])
    })

    it.each([
      [0, 1],
      [0, 100_000],
      [65_535, 65_537],
      [99_999, 100_000],
      [99_990, 200_000],
      [100_000, 100_001],
      [500_000, 600_000],
      [7, 7],
    ])('streams the bytes from %i up to and without %i', async (start, end) => {
      const bytes = sample(100_000)
      const { digest } = await blobs.put(bytes)
      const got = await buffer(await blobs.open(digest, { start, end }))
      expect(Buffer.compare(got, bytes.subarray(start, end))).toBe(0)
    })

    it('keeps equal bytes once, however often and however simultaneously they are put', async () => {
      const bytes = sample(50_000)
      const refs = await Promise.all(Array.from({ length: 20 }, () => blobs.put(bytes)))
      expect(new Set(refs.map((ref) => ref.digest)).size).toBe(1)
      expect(await all(blobs)).toMatchObject([refs[0]])
      expect(Buffer.compare(await blobs.read(sha256Of(bytes)), bytes)).toBe(0)
    })

    it('is not touched by what a caller does with its buffers later', async () => {
      const bytes = sample(100)
      const { digest } = await blobs.put(bytes)
      bytes.fill(0)
      const first = await blobs.read(digest)
      first.fill(1)
      expect(sha256Of(await blobs.read(digest))).toBe(digest)
    })

    it('lists every blob with its size and when it was put last', async () => {
      const before = Date.now() - 2000
      const refs = await Promise.all(Array.from({ length: 30 }, (_, i) => blobs.put(sample(1000 + i))))
      const listed = await all(blobs)
      expect(listed.map(({ digest, sizeBytes }) => ({ digest, sizeBytes }))).toEqual(
        refs.toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
      )
      for (const { storedAt } of listed) expect(storedAt.getTime()).toBeGreaterThan(before)
    })

    it('removes a blob once, and takes it again afterwards', async () => {
      const { digest } = await blobs.put(sample(10))
      const other = await blobs.put(sample(11))
      expect(await blobs.remove(digest)).toBe(true)
      expect(await blobs.remove(digest)).toBe(false)
      expect(await blobs.size(digest)).toBeNull()
      expect(await blobs.size(other.digest)).toBe(11)
      await blobs.put(sample(10))
      expect(await blobs.size(digest)).toBe(10)
    })

    it('does not remove what was put since the time named, and counts putting it again', async () => {
      const { digest } = await blobs.put(sample(10))
      const past = new Date(Date.now() - 10_000)
      const future = new Date(Date.now() + 10_000)
      expect(await blobs.remove(digest, { unlessPutSince: past })).toBe(false)
      expect(await blobs.size(digest)).toBe(10)
      expect(await blobs.remove(digest, { unlessPutSince: future })).toBe(true)
      expect(await blobs.size(digest)).toBeNull()
    })
  })
}

/** Every blob of a store, by digest. */
export async function all(blobs: BlobStore): Promise<readonly StoredBlob[]> {
  const listed: StoredBlob[] = []
  for await (const blob of blobs.list()) listed.push(blob)
  return listed.sort((a, b) => (a.digest < b.digest ? -1 : 1))
}

/** Bytes that differ by length and do not compress to nothing. */
export function sample(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes)
  for (let i = 0, x = sizeBytes + 1; i < sizeBytes; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0
    bytes[i] = x >>> 16
  }
  return bytes
}
