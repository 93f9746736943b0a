import type { Arch } from '../../core/kernel.ts'
import { brotli, gzip } from './compress.ts'
import { elfWithBtf } from './elf.ts'
import { tarOfOne } from './tar.ts'
import { xz } from './xz.ts'
import { zstd } from './zstd.ts'

/**
 * What can be made of a blob: compressed; `tar.xz:NAME`, a compressed tar with the one file NAME; `elf:ARCH`, an ELF
 * object with the blob as its section `.BTF`.
 */
export type DerivedForm = 'gz' | 'br' | 'zst' | 'xz' | `tar.xz:${string}` | `elf:${Arch}`

/** BTF lowered for readers of old, `compat:0.4`: a form that others are made of, and that not the store can make. */
export type CompatForm = `compat:${string}`

const TAR_XZ = 'tar.xz:'
const ELF = 'elf:'

/** Makes a form: the same bytes for the same input. Throws `TOOL` where xz or zstd is missing or fails. */
export async function makeForm(form: DerivedForm, bytes: Uint8Array): Promise<Uint8Array> {
  switch (form) {
    case 'gz':
      return gzip(bytes)
    case 'br':
      return brotli(bytes)
    case 'zst':
      return zstd(bytes)
    case 'xz':
      return xz(bytes)
    default:
      return form.startsWith(TAR_XZ)
        ? xz(await tarOfOne(form.slice(TAR_XZ.length), bytes))
        : elfWithBtf(bytes, form.slice(ELF.length) as Arch)
  }
}
