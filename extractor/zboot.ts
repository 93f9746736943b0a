import type { Payload } from './bzimage.ts'
import { ExtractError } from './types.ts'

/** The bytes of an image that hold the zboot header. */
export const ZBOOT_HEADER_BYTES = 64

/** True where bytes are the start of an EFI zboot image: `MZ`, and `zimg` at 4. */
export function isZboot(head: Uint8Array): boolean {
  const text = Buffer.from(head.subarray(0, 8)).toString('latin1')
  return text.startsWith('MZ') && text.endsWith('zimg')
}

/**
 * The payload of an EFI zboot image (drivers/firmware/efi/libstub/zboot-header.S): offset and size at 8 and 12; the
 * size leaves out the four bytes that the kernel's build appends to all but gzip. Throws ExtractError `MALFORMED`.
 */
export function zbootPayload(head: Uint8Array, name: string): Payload {
  if (head.byteLength < ZBOOT_HEADER_BYTES) {
    throw new ExtractError('MALFORMED', `${name}: zboot image ends at byte ${head.byteLength}, in its header`)
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const offset = view.getUint32(8, true)
  const sizeBytes = view.getUint32(12, true)
  if (offset < ZBOOT_HEADER_BYTES || sizeBytes === 0) {
    throw new ExtractError('MALFORMED', `${name}: zboot payload of ${sizeBytes} bytes at byte ${offset}`)
  }
  return { offset, sizeBytes }
}
