import { describe, expect, it } from 'vitest'
import { compress, missingAptTool } from '../test/apt-repository.ts'
import { type Coding, unpack } from './unpack.ts'

const never = new AbortController().signal
const missing = missingAptTool()
const plain = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) % 251))

async function all(bytes: Uint8Array, coding: Coding, maxBytes = 1e6): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of unpack(bytes, coding, maxBytes, never)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe.skipIf(missing !== null)(`unpack (skipped: ${missing ?? 'nothing'} is missing)`, () => {
  it.each(['.xz', '.zst', '.gz', '.bz2', ''] as const)(
    '%j: whole, bounded, and an error where it is truncated',
    async (coding) => {
      const packed = compress(plain, coding)
      expect((await all(packed, coding)).equals(plain)).toBe(true)
      await expect(all(packed, coding, 299_999)).rejects.toMatchObject({ code: 'MALFORMED' })
      if (coding === '') return
      await expect(all(packed.subarray(0, packed.length - 20), coding)).rejects.toMatchObject({
        code: 'MALFORMED',
      })
      await expect(all(Buffer.from('nonsense'), coding)).rejects.toMatchObject({ code: 'MALFORMED' })
      await expect(all(Buffer.alloc(0), coding)).rejects.toMatchObject({ code: 'MALFORMED' })
    },
  )

  it('says that a program is missing', async () => {
    const path = process.env.PATH
    process.env.PATH = '/nonexistent'
    try {
      await expect(all(Buffer.from('x'), '.xz')).rejects.toMatchObject({ code: 'TOOL' })
    } finally {
      process.env.PATH = path
    }
  })

  it('ends its program when the reader leaves or the signal is aborted', async () => {
    const packed = compress(Buffer.alloc(64e6), '.xz')
    for await (const chunk of unpack(packed, '.xz', 1e9, never)) if (chunk.byteLength > 0) break
    const abort = new AbortController()
    const reading = (async () => {
      for await (const chunk of unpack(packed, '.xz', 1e9, abort.signal))
        if (chunk.byteLength > 0) abort.abort()
    })()
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' })
  })
})
