import { ExtractError } from './types.ts'

/** Where the compressed kernel is in an image, in bytes from its start. */
export interface Payload {
  readonly offset: number
  readonly sizeBytes: number
}

/** The bytes of an image that hold the setup header as far as we read it. */
export const BZIMAGE_HEADER_BYTES = 0x250

const HEADER_MAGIC = 'HdrS'
/** payload_offset and payload_length came with boot protocol 2.08 (Linux 2.6.26). */
const PAYLOAD_VERSION = 0x0208
const SECTOR_BYTES = 512

/** True where bytes are the start of an x86 bzImage: `HdrS` at 0x202. */
export function isBzImage(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0x202, 0x206)).toString('latin1') === HEADER_MAGIC
}

/**
 * The payload of a bzImage, by its setup header (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
 * Throws ExtractError `UNSUPPORTED` for protocols before 2.08, `MALFORMED` where fields contradict each other.
 */
export function bzImagePayload(head: Uint8Array, name: string): Payload {
  if (head.byteLength < BZIMAGE_HEADER_BYTES) {
    throw new ExtractError(
      'MALFORMED',
      `${name}: bzImage ends at byte ${head.byteLength}, in its setup header`,
    )
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const version = view.getUint16(0x206, true)
  if (version < PAYLOAD_VERSION) {
    throw new ExtractError(
      'UNSUPPORTED',
      `${name}: bzImage of boot protocol 0x${version.toString(16)}, 0x${PAYLOAD_VERSION.toString(16)} is the first that says where its payload is`,
    )
  }
  // boot.rst: "if the setup_sects field contains 0, the real value is 4"; the boot sector is one more.
  const setupBytes = ((view.getUint8(0x1f1) || 4) + 1) * SECTOR_BYTES
  // In paragraphs of 16 bytes; covers the protected-mode code, which holds the payload.
  const codeBytes = view.getUint32(0x1f4, true) * 16
  const payloadOffset = view.getUint32(0x248, true)
  const sizeBytes = view.getUint32(0x24c, true)
  if (sizeBytes === 0 || payloadOffset + sizeBytes > codeBytes) {
    throw new ExtractError(
      'MALFORMED',
      `${name}: bzImage says that its payload of ${sizeBytes} bytes is at byte ${payloadOffset} of ${codeBytes} bytes of code`,
    )
  }
  return { offset: setupBytes + payloadOffset, sizeBytes }
}
