import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compress } from './image.fixture.ts'
import { Lz4Block, unpackLz4Legacy } from './lz4.ts'
import { gather, run, streamOf } from './run.fixture.ts'
import { ExtractError } from './types.ts'

const unpack = (bytes: Uint8Array, size?: number): Promise<Buffer> =>
  gather(unpackLz4Legacy(streamOf(bytes, size)))
const block = (...bytes: number[]): Buffer => {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184c2102, 0)
  head.writeUInt32LE(bytes.length, 4)
  return Buffer.concat([head, Buffer.from(bytes)])
}

describe('unpackLz4Legacy', () => {
  it('unpacks what lz4 -l packed: text, noise, zeros, several blocks, whatever the chunks are', async () => {
    const samples = [
      Buffer.from('a'),
      Buffer.from('kernel '.repeat(50_000)),
      Buffer.alloc(9 << 20),
      run('openssl', ['rand', String(9 << 20)]),
      Buffer.concat([
        run('openssl', ['rand', '70000']),
        Buffer.alloc(100_000, 7),
        run('openssl', ['rand', '300']),
      ]),
    ]
    for (const sample of samples) {
      const packed = compress('lz4', sample)
      for (const size of [65536, 1 << 20]) expect((await unpack(packed, size)).equals(sample)).toBe(true)
    }
    const small = compress('lz4', samples[4] as Buffer)
    for (const size of [1, 7, 4099])
      expect((await unpack(small, size)).equals(samples[4] as Buffer)).toBe(true)
  })

  it('unpacks any bytes that lz4 -l packed', async () => {
    const piece = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 60 }))
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 500 }),
        async (pieces, size) => {
          const sample = Buffer.concat(
            pieces.flatMap(([bytes, times]) => Array.from({ length: times }, () => bytes)),
          )
          expect((await unpack(compress('lz4', sample), size)).equals(sample)).toBe(true)
        },
      ),
      { numRuns: 40 },
    )
  })

  it('gives what is unpacked before the block is whole', async () => {
    const packed = compress(
      'lz4',
      Buffer.concat([
        run('openssl', ['rand', '500000']),
        Buffer.alloc(100),
        run('openssl', ['rand', '500000']),
      ]),
    )
    let seen = 0
    const reading = (async () => {
      for await (const chunk of unpackLz4Legacy(streamOf(packed.subarray(0, 600_000), 4096)))
        seen += chunk.byteLength
    })()
    await expect(reading).rejects.toMatchObject({ code: 'MALFORMED' })
    expect(seen).toBeGreaterThan(499_000)
  })

  it.each([
    ['no magic', Buffer.from('abcdefgh'), /magic expected/],
    [
      'a frame of the new kind',
      Buffer.from([4, 0x22, 0x4d, 0x18, 0, 0, 0, 0]),
      /magic expected, got 0x184d2204/,
    ],
    [
      'a block larger than can be',
      Buffer.concat([block(), Buffer.from([0xff, 0xff, 0xff, 0x7f])]),
      /block of 2147483647 bytes/,
    ],
    ['an end in a block size', block(0x10, 0x41).subarray(0, 6), /block size/],
    ['an end in a block', block(0x10, 0x41).subarray(0, 9), /LZ4 block/],
    ['a match before the start', block(0x10, 0x41, 2, 0, 0), /block at byte/],
    ['a match at offset 0', block(0x10, 0x41, 0, 0, 0), /block at byte/],
    ['an end in literals', block(0x50, 0x41), /block at byte/],
    ['an end in a length', block(0xf0), /block at byte/],
    ['an end in an offset', block(0x10, 0x41, 1), /block at byte/],
    ['an end in a match length', block(0x1f, 0x41, 1, 0, 255), /block at byte/],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(unpack(bytes)).rejects.toMatchObject({
      code: 'MALFORMED',
      message: expect.stringMatching(message) as string,
    })
  })

  it('refuses a block that unpacks to more than 8 MiB', async () => {
    // One literal, then a match whose length is 255 * 40000.
    const bomb = block(0x1f, 0x41, 1, 0, ...Array.from({ length: 40_000 }, () => 255), 0, 0)
    await expect(unpack(bomb)).rejects.toMatchObject({ code: 'MALFORMED' })
  })

  it('gives bytes or its own error for any block, and never more than the target holds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
        await unpack(block(...bytes)).catch((err: unknown) => expect(err).toBeInstanceOf(ExtractError))
        const small = new Lz4Block(Buffer.alloc(20))
        try {
          small.unpack(bytes, true)
        } catch (err) {
          expect(err).toBeInstanceOf(RangeError)
        }
        expect(small.sizeBytes).toBeLessThanOrEqual(20)
      }),
      { numRuns: 300 },
    )
  })
})
