import type { ByteStream } from './byte-stream.ts'
import { ExtractError } from './types.ts'

/** Bytes that a block of the legacy frame unpacks to, the last one aside (lz4 doc/lz4_Frame_format.md, "Legacy frame"). */
const BLOCK_BYTES = 8 << 20
/** LZ4_COMPRESSBOUND(8 MiB). */
const MAX_COMPRESSED_BYTES = BLOCK_BYTES + Math.floor(BLOCK_BYTES / 255) + 16
const LEGACY_MAGIC = 0x184c2102

/**
 * Unpacks an LZ4 legacy frame, as `lz4 -l` makes it for kernels. Each chunk is one block of up to 8 MiB.
 * Throws ExtractError `MALFORMED`.
 */
export async function* unpackLz4Legacy(stream: ByteStream): AsyncGenerator<Uint8Array, void, undefined> {
  for (let first = true; (await stream.peek(1)).byteLength > 0; first = false) {
    const at = stream.position
    const word = toU32(await stream.read(4, 'an LZ4 block size'))
    if (word === LEGACY_MAGIC) continue
    if (first) {
      throw new ExtractError('MALFORMED', `${stream.name}: LZ4 magic expected, got 0x${word.toString(16)}`)
    }
    if (word > MAX_COMPRESSED_BYTES) {
      throw new ExtractError(
        'MALFORMED',
        `${stream.name}: LZ4 block of ${word} bytes at byte ${at}, ${MAX_COMPRESSED_BYTES} are the most`,
      )
    }
    const packed = await stream.read(word, 'an LZ4 block')
    const block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
    let sizeBytes: number
    try {
      sizeBytes = unpackLz4Block(packed, block)
    } catch (err) {
      throw new ExtractError('MALFORMED', `${stream.name}: LZ4 block at byte ${at}`, { cause: err })
    }
    yield block.subarray(0, sizeBytes)
  }
}

/**
 * Unpacks one block into `target` and gives the bytes that it wrote (lz4 doc/lz4_Block_format.md). Throws
 * RangeError where the block reaches out of itself or of the target.
 */
export function unpackLz4Block(packed: Uint8Array, target: Uint8Array): number {
  const end = packed.byteLength
  const limit = target.byteLength
  let from = 0
  let to = 0
  while (from < end) {
    const token = packed[from++] as number

    let literals = token >>> 4
    if (literals === 15) {
      for (let more = 255; more === 255;) {
        if (from >= end) throw new RangeError(`ends in a length at byte ${from}`)
        more = packed[from++] as number
        literals += more
      }
    }
    if (literals > end - from || literals > limit - to) {
      throw new RangeError(`${literals} literals at byte ${from} are more than fit`)
    }
    // Most runs are a few bytes, where the call of a copying function costs more than the copy.
    if (literals > 48) {
      target.set(packed.subarray(from, from + literals), to)
      from += literals
      to += literals
    } else {
      for (const stop = from + literals; from < stop;) target[to++] = packed[from++] as number
    }
    // The last sequence has no match.
    if (from === end) return to

    if (end - from < 2) throw new RangeError(`ends in an offset at byte ${from}`)
    const offset = (packed[from] as number) | ((packed[from + 1] as number) << 8)
    from += 2
    if (offset === 0 || offset > to)
      throw new RangeError(`offset ${offset} at byte ${from - 2}, ${to} bytes are behind`)
    let length = token & 15
    if (length === 15) {
      for (let more = 255; more === 255;) {
        if (from >= end) throw new RangeError(`ends in a length at byte ${from}`)
        more = packed[from++] as number
        length += more
      }
    }
    length += 4
    if (length > limit - to)
      throw new RangeError(`match of ${length} bytes before byte ${from} is more than fits`)
    const source = to - offset
    if (length > 48 && offset >= length) {
      target.copyWithin(to, source, source + length)
      to += length
    } else {
      // A match may overlap what it writes: byte by byte is what repeats it.
      for (let i = source, stop = to + length; to < stop;) target[to++] = target[i++] as number
    }
  }
  return to
}

function toU32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)
}
