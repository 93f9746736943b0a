import { describe, expect, it } from 'vitest'
import { ByteStream } from './byte-stream.ts'
import { chunks, gather, streamOf } from './run.fixture.ts'

const BYTES = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 256))

describe('ByteStream', () => {
  it.each([1, 7, 64, 1000])('reads, peeks and skips the same in chunks of %d', async (size) => {
    const stream = streamOf(BYTES, size)
    expect(Buffer.from(await stream.peek(5))).toEqual(BYTES.subarray(0, 5))
    expect(stream.position).toBe(0)
    expect(Buffer.from(await stream.read(300, 'a'))).toEqual(BYTES.subarray(0, 300))
    await stream.skip(100, 'b')
    expect(Buffer.from(await stream.peek(5000))).toEqual(BYTES.subarray(400))
    expect(await gather(stream.take(10, 'c'))).toEqual(BYTES.subarray(400, 410))
    expect(stream.position).toBe(410)
    expect(await gather(stream.rest())).toEqual(BYTES.subarray(410))
    expect((await stream.peek(1)).byteLength).toBe(0)
  })

  it('says what was cut off, and where', async () => {
    const stream = streamOf(BYTES, 64)
    await expect(stream.read(1001, 'the header')).rejects.toMatchObject({
      code: 'MALFORMED',
      message: 'sample: ends at byte 1000, in the middle of the header (1001 bytes)',
    })
    await expect(streamOf(BYTES).skip(Number.MAX_SAFE_INTEGER, 'a body')).rejects.toMatchObject({
      code: 'MALFORMED',
    })
  })

  it('keeps its place where a loop over a part is left', async () => {
    const stream = streamOf(BYTES, 10)
    for await (const piece of stream.take(100, 'x')) if (piece[0] === 20) break
    expect(stream.position).toBe(30)
    expect((await stream.read(1, 'x'))[0]).toBe(30)
  })

  it('passes over empty chunks, and ends its source when it is closed', async () => {
    let ended = false
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        yield new Uint8Array(0)
        yield* chunks(BYTES)
      } finally {
        ended = true
      }
    }
    const stream = new ByteStream(source(), 'sample')
    expect((await stream.read(3, 'x')).byteLength).toBe(3)
    await stream.close()
    expect(ended).toBe(true)
  })
})
