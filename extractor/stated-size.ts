import type { Codec } from './codec.ts'

/**
 * How many bytes a file of this compression says that it unpacks to, where it is one xz stream or one zstd frame from its
 * first byte to its last, and says so; null otherwise. The decoder holds it to that.
 */
export function statedSize(codec: Codec, bytes: Uint8Array): number | null {
  if (codec === 'xz') return xzSize(bytes)
  return codec === 'zstd' ? zstdSize(bytes) : null
}

/** Stream header and footer each; https://tukaani.org/xz/xz-file-format.txt, 2.1. */
const XZ_FRAME_BYTES = 12

/** The sum of what the index (section 4) has; it is behind the blocks, at the size that the footer says. */
function xzSize(bytes: Uint8Array): number | null {
  const footer = bytes.byteLength - XZ_FRAME_BYTES
  if (footer < XZ_FRAME_BYTES || bytes[footer + 10] !== 0x59 || bytes[footer + 11] !== 0x5a) return null
  const indexBytes = (viewOf(bytes).getUint32(footer + 4, true) + 1) * 4
  let at = footer - indexBytes
  if (at < XZ_FRAME_BYTES || bytes[at++] !== 0) return null
  const number = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0
      value += (byte & 0x7f) * scale
      // Nine bytes are 63 bits; what is no safe integer is no size of a file.
      if (byte < 0x80 || scale > Number.MAX_SAFE_INTEGER) return value
    }
  }
  let blocks = 0
  let unpacked = 0
  for (let left = number(); left > 0 && at < footer; left--) {
    blocks += Math.ceil(number() / 4) * 4
    unpacked += number()
  }
  return 2 * XZ_FRAME_BYTES + blocks + indexBytes === bytes.byteLength ? unpacked : null
}

const ZSTD_MAGIC_BYTES = 4

/** Frame_Content_Size; RFC 8878, 3.1.1. Blocks are stepped over, to see that nothing follows the frame. */
function zstdSize(bytes: Uint8Array): number | null {
  const view = viewOf(bytes)
  const descriptor = bytes[ZSTD_MAGIC_BYTES] ?? 0
  const isSingleSegment = (descriptor & 0x20) !== 0
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number
  const idBytes = [0, 1, 2, 4][descriptor & 3] as number
  const sizeAt = ZSTD_MAGIC_BYTES + 1 + (isSingleSegment ? 0 : 1) + idBytes
  let at = sizeAt + sizeBytes
  if (sizeBytes === 0 || at > bytes.byteLength) return null
  for (let isLast = false; !isLast;) {
    if (at + 3 > bytes.byteLength) return null
    const header = view.getUint16(at, true) | ((bytes[at + 2] as number) << 16)
    isLast = (header & 1) !== 0
    const isRepeated = ((header >> 1) & 3) === 1
    at += 3 + (isRepeated ? 1 : header >> 3)
  }
  const checksumBytes = (descriptor & 4) === 0 ? 0 : 4
  if (at + checksumBytes !== bytes.byteLength) return null
  switch (sizeBytes) {
    case 1:
      return bytes[sizeAt] as number
    case 2:
      return view.getUint16(sizeAt, true) + 256
    case 4:
      return view.getUint32(sizeAt, true)
    default:
      return view.getUint32(sizeAt, true) + view.getUint32(sizeAt + 4, true) * 2 ** 32
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
