import { btfEndian, isElf } from '../btf/index.ts'
import { AR_MAGIC } from './ar.ts'
import { type Codec, codecOf } from './codec.ts'
import { isBzImage } from './bzimage.ts'
import { RPM_MAGIC } from './rpm.ts'
import { isTar } from './tar.ts'
import { ExtractError } from './types.ts'
import { isZboot } from './zboot.ts'

/** What a file is, by its bytes. `flat`: an image without headers that say where things are, such as arm64's. */
export type Kind =
  'btf' | 'elf' | 'ar' | 'rpm' | 'tar' | 'bzimage' | 'zboot' | 'flat' | { readonly codec: Codec }

/** The bytes that {@link kindOf} wants to see; a tar header is the longest, a bzImage's setup header the next. */
export const KIND_BYTES = 1024

const ARM64_MAGIC = 'ARM\x64'
const RISCV_MAGIC = 'RSC\x05'

/** The kind of a file from its first bytes. Throws ExtractError `UNSUPPORTED` where they are of none that we read. */
export function kindOf(head: Uint8Array, name: string): Kind {
  if (btfEndian(head) !== null) return 'btf'
  if (isElf(head)) return 'elf'
  if (startsWith(head, 0, AR_MAGIC)) return 'ar'
  if (RPM_MAGIC.every((byte, i) => head[i] === byte)) return 'rpm'
  if (isTar(head)) return 'tar'
  // A zboot image and a bzImage are PE files too, and an arm64 Image may be: the more particular first.
  if (isZboot(head)) return 'zboot'
  if (isBzImage(head)) return 'bzimage'
  // Documentation/arch/arm64/booting.rst and riscv/boot-image-header.rst: the magic is at 56.
  if (startsWith(head, 56, ARM64_MAGIC) || startsWith(head, 56, RISCV_MAGIC)) return 'flat'
  const codec = codecOf(head, name)
  if (codec !== null) return { codec }
  const got = head.byteLength === 0 ? 'it is empty' : `it starts with ${hex(head.subarray(0, 16))}`
  throw new ExtractError(
    'UNSUPPORTED',
    `${name}: no package, kernel image, ELF or BTF that we know of: ${got}`,
  )
}

function startsWith(bytes: Uint8Array, offset: number, text: string): boolean {
  return Buffer.from(bytes.subarray(offset, offset + text.length)).toString('latin1') === text
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
