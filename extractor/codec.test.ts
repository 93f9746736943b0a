import { describe, expect, it } from 'vitest'
import { type Codec, codecOf, decompress } from './codec.ts'
import { crc32 } from './crc32.fixture.ts'
import { CODECS, compress } from './image.fixture.ts'
import { chunks, gather, run } from './run.fixture.ts'

const never = new AbortController().signal
const how = { name: 'sample', signal: never, maxBytes: 1 << 30, threads: 1 }
const SAMPLE = Buffer.concat([Buffer.from('some text '.repeat(1000)), run('openssl', ['rand', '100000'])])

describe('codecOf', () => {
  it.each(CODECS)('tells %s by what the real tool writes', (codec) => {
    expect(codecOf(compress(codec, SAMPLE), 'sample')).toBe(codec)
  })

  it('tells nothing of other bytes, and refuses LZO by name', () => {
    for (const head of ['', '\x1f', '\x7fELF', 'BTF', '\x5d\x00']) {
      expect(codecOf(Buffer.from(head, 'latin1'), 'sample')).toBeNull()
    }
    expect(() => codecOf(Buffer.from('\x89LZO\0', 'latin1'), 'sample')).toThrow('sample: compressed with LZO')
  })
})

describe('decompress', () => {
  it.each(CODECS)('unpacks %s, whatever the chunks are', async (codec) => {
    const packed = compress(codec, SAMPLE)
    for (const size of [997, packed.byteLength]) {
      expect((await gather(decompress(codec, chunks(packed, size), how))).equals(SAMPLE)).toBe(true)
    }
  })

  it('unpacks xz of several blocks with several threads', async () => {
    const packed = run('xz', ['-T2', '--block-size=20KiB', '-c'], SAMPLE)
    expect((await gather(decompress('xz', chunks(packed), { ...how, threads: 2 }))).equals(SAMPLE)).toBe(true)
  })

  it.each(CODECS)('says that %s is cut off or damaged', async (codec) => {
    const packed = compress(codec, SAMPLE)
    const cut = packed.subarray(0, packed.byteLength >> 1)
    await expect(gather(decompress(codec, chunks(cut), how))).rejects.toMatchObject({
      code: 'MALFORMED',
      message: expect.stringContaining('sample') as string,
    })
    // LZ4's legacy frame and .lzma have no checksum: damage must not go further than an error or other bytes.
    const damaged = Buffer.from(packed).fill(0xaa, 20_000, 30_000)
    const reading = gather(decompress(codec, chunks(damaged), how))
    if (codec === 'lz4' || codec === 'lzma')
      await reading.catch((err: unknown) => expect(err).toMatchObject({ code: 'MALFORMED' }))
    else await expect(reading).rejects.toMatchObject({ code: 'MALFORMED' })
  })

  it('leaves alone what is behind the end of xz', async () => {
    const packed = Buffer.concat([compress('xz', SAMPLE), Buffer.from([1, 2, 3, 4])])
    expect((await gather(decompress('xz', chunks(packed), how))).equals(SAMPLE)).toBe(true)
  })

  it.each(CODECS)('stops %s at the bytes that are allowed', async (codec) => {
    const packed = compress(codec, Buffer.alloc(20 << 20))
    await expect(
      gather(decompress(codec, chunks(packed), { ...how, maxBytes: 1 << 20 })),
    ).rejects.toMatchObject({
      code: 'LIMIT',
      message: 'sample: unpacks to more than 1048576 bytes',
    })
  })

  it.each(['gzip', 'xz', 'zstd', 'bzip2'] as Codec[])('stops a bomb of %s at its ratio', async (codec) => {
    const zeros = Buffer.alloc(100 << 20)
    const packed =
      codec === 'zstd'
        ? run('zstd', ['-c'], zeros)
        : run(codec, [codec === 'gzip' ? '-9' : '-1', '-c'], zeros)
    let bytes = 0
    const reading = (async () => {
      for await (const chunk of decompress(codec, chunks(packed), how)) bytes += chunk.byteLength
    })()
    await expect(reading).rejects.toMatchObject({
      code: 'LIMIT',
      message: expect.stringContaining('times') as string,
    })
    expect(bytes).toBeLessThan(80 << 20)
  })

  it('refuses xz that would need more memory than is allowed', async () => {
    // The dictionary size of LZMA2 is one byte of the block header: 39 is 3 GiB.
    const packed = run('xz', ['--check=none', '--lzma2=dict=4KiB', '-c'], SAMPLE)
    const properties = packed.indexOf(Buffer.from([0x21, 0x01]), 12) + 2
    const header = packed.subarray(12, 12 + ((packed[12] as number) + 1) * 4)
    packed[properties] = 39
    header.writeUInt32LE(crc32(header.subarray(0, -4)), header.byteLength - 4)
    await expect(gather(decompress('xz', chunks(packed), how))).rejects.toMatchObject({ code: 'LIMIT' })
  })
})
