import { limits } from '../core/limits.ts'
import type { ByteStream } from './byte-stream.ts'
import { BZIMAGE_HEADER_BYTES, bzImagePayload } from './bzimage.ts'
import { type Codec, CODEC_MAGIC_BYTES, codecOf, decompress } from './codec.ts'
import { ExtractError } from './types.ts'
import { ZBOOT_HEADER_BYTES, zbootPayload } from './zboot.ts'

/**
 * The kernel inside a compressed image, as a stream that unpacks no more than is read of it. The image may be cut or
 * have a signature behind it: only header and payload are looked at. Throws ExtractError.
 */
export async function* unwrapImage(
  image: ByteStream,
  kind: 'bzimage' | 'zboot',
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { name } = image
  const isBz = kind === 'bzimage'
  const head = await image.peek(isBz ? BZIMAGE_HEADER_BYTES : ZBOOT_HEADER_BYTES)
  const payload = isBz ? bzImagePayload(head, name) : zbootPayload(head, name)
  if (payload.offset + payload.sizeBytes > limits.image.maxBytes) {
    throw new ExtractError(
      'LIMIT',
      `${name}: payload ends at byte ${payload.offset + payload.sizeBytes}, images have up to ${limits.image.maxBytes}`,
    )
  }
  await image.skip(payload.offset - image.position, 'the code before the payload')
  const magic = await image.peek(CODEC_MAGIC_BYTES)
  const codec = codecOf(magic, name)
  if (codec === null) {
    throw new ExtractError(
      'UNSUPPORTED',
      `${name}: payload at byte ${payload.offset} starts with ${Buffer.from(magic).toString('hex')}, which is no compression that we know of`,
    )
  }
  yield* withSizeCheck(image, codec, payload.sizeBytes, isBz, signal)
}

const TRAILER_BYTES = 4

/**
 * Unpacks a payload. All codecs but gzip, which has a size itself, are followed by the unpacked size in four bytes
 * (scripts/Makefile.lib, size_append); in a bzImage they count as payload.
 */
async function* withSizeCheck(
  image: ByteStream,
  codec: Codec,
  sizeBytes: number,
  trailerCounts: boolean,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hasTrailer = trailerCounts && codec !== 'gzip'
  const packedBytes = hasTrailer ? sizeBytes - TRAILER_BYTES : sizeBytes
  if (packedBytes < 0) throw new ExtractError('MALFORMED', `${image.name}: payload of ${sizeBytes} bytes`)
  const end = image.position + packedBytes
  let unpacked = 0
  const output = decompress(codec, image.take(packedBytes, `the ${codec} payload`), {
    name: `${image.name}: ${codec} payload`,
    signal,
    maxBytes: limits.image.maxUnwrappedBytes,
    threads: 1,
  })
  for await (const chunk of output) {
    unpacked += chunk.byteLength
    yield chunk
  }
  if (!hasTrailer) return
  await image.skip(end - image.position, 'the payload')
  const trailer = await image.read(TRAILER_BYTES, 'the size behind the payload')
  const stated = new DataView(trailer.buffer, trailer.byteOffset, TRAILER_BYTES).getUint32(0, true)
  if (stated !== unpacked % 2 ** 32) {
    throw new ExtractError(
      'MALFORMED',
      `${image.name}: ${codec} payload unpacks to ${unpacked} bytes, ${stated} are stated`,
    )
  }
}
