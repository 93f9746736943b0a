import type { ByteStream } from './byte-stream.ts'
import { ExtractError } from './types.ts'

/** Bytes that a block of the legacy frame unpacks to, the last one aside (lz4 doc/lz4_Frame_format.md, "Legacy frame"). */
const BLOCK_BYTES = 8 << 20
/** LZ4_COMPRESSBOUND(8 MiB). */
const MAX_PACKED_BYTES = BLOCK_BYTES + Math.floor(BLOCK_BYTES / 255) + 16
const LEGACY_MAGIC = 0x184c2102

/**
 * Unpacks an LZ4 legacy frame, as `lz4 -l` makes it for kernels. Each block is unpacked while it arrives, so that the
 * work is done when its last byte comes, and whoever has seen enough need not wait for it.
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
    if (word > MAX_PACKED_BYTES) {
      throw new ExtractError(
        'MALFORMED',
        `${stream.name}: LZ4 block of ${word} bytes at byte ${at}, ${MAX_PACKED_BYTES} are the most`,
      )
    }
    yield* unpackArriving(stream, word, at)
  }
}

async function* unpackArriving(
  stream: ByteStream,
  packedBytes: number,
  at: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const block = new Lz4Block(Buffer.allocUnsafeSlow(BLOCK_BYTES))
  let rest: Uint8Array = new Uint8Array(0)
  let done = 0
  for (let left = packedBytes; left > 0;) {
    const piece = await stream.some(left, 'an LZ4 block')
    left -= piece.byteLength
    const packed = rest.byteLength === 0 ? piece : Buffer.concat([rest, piece])
    try {
      rest = packed.subarray(block.unpack(packed, left === 0))
    } catch (err) {
      throw new ExtractError('MALFORMED', `${stream.name}: LZ4 block at byte ${at}`, { cause: err })
    }
    yield block.target.subarray(done, block.sizeBytes)
    done = block.sizeBytes
  }
}

/** One block on its way into `target` (lz4 doc/lz4_Block_format.md). */
export class Lz4Block {
  readonly target: Uint8Array
  /** Bytes of the target that are filled. */
  sizeBytes = 0

  constructor(target: Uint8Array) {
    this.target = target
  }

  /**
   * Unpacks the whole sequences in `packed`, and gives the bytes that these took; the others are to be given again
   * with what follows. `isLast`: nothing follows. Throws RangeError where a sequence reaches out of the block or of
   * the target.
   */
  unpack(packed: Uint8Array, isLast: boolean): number {
    const { target } = this
    const end = packed.byteLength
    const limit = target.byteLength
    let to = this.sizeBytes
    for (let from = 0; ;) {
      const start = from
      const token = packed[from++]
      if (token === undefined) return start

      let literals = token >>> 4
      if (literals === 15) {
        for (let more: number | undefined = 255; more === 255;) {
          more = packed[from++]
          if (more === undefined) return missing(start, isLast)
          literals += more
          if (literals > limit) break
        }
      }
      if (literals > limit - to)
        throw new RangeError(`${literals} literals, ${limit - to} bytes are left for them`)
      if (literals > end - from) return missing(start, isLast)
      const literalsAt = from
      from += literals

      // The last sequence of a block has literals only.
      const hasMatch = !(isLast && from === end)
      let length = 0
      let offset = 0
      if (hasMatch) {
        if (end - from < 2) return missing(start, isLast)
        offset = (packed[from] as number) | ((packed[from + 1] as number) << 8)
        from += 2
        length = (token & 15) + 4
        if (length === 19) {
          for (let more: number | undefined = 255; more === 255;) {
            more = packed[from++]
            if (more === undefined) return missing(start, isLast)
            length += more
            if (length > limit) break
          }
        }
      }

      // Most runs are a few bytes, where the call of a copying function costs more than the copy.
      if (literals > 48) {
        target.set(packed.subarray(literalsAt, literalsAt + literals), to)
        to += literals
      } else {
        for (let i = literalsAt, stop = literalsAt + literals; i < stop;) target[to++] = packed[i++] as number
      }
      if (hasMatch) {
        if (offset === 0 || offset > to) throw new RangeError(`offset ${offset}, ${to} bytes are behind`)
        if (length > limit - to)
          throw new RangeError(`match of ${length} bytes, ${limit - to} are left for it`)
        if (length > 48 && offset >= length) {
          target.copyWithin(to, to - offset, to - offset + length)
          to += length
        } else {
          // A match may overlap what it writes: byte by byte is what repeats it.
          for (let i = to - offset, stop = to + length; to < stop;) target[to++] = target[i++] as number
        }
      }
      this.sizeBytes = to
    }
  }
}

/** More bytes are needed for the sequence at `start`, and may come. */
function missing(start: number, isLast: boolean): number {
  if (isLast) throw new RangeError(`ends in the middle of the sequence ${start} bytes into its last part`)
  return start
}

function toU32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)
}
