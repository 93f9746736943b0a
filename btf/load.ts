import { type Btf, parseBtf } from './btf.ts'
import { findSection, isElf, parseElf, sectionBytes } from './elf.ts'
import { BtfError } from './errors.ts'
import { btfEndian } from './wire.ts'

/** The raw BTF in a file's bytes: itself, or the `.BTF` of an ELF. Throws BtfError `NOT_BTF` or `NO_SECTION`. */
export function rawBtf(bytes: Uint8Array): Uint8Array {
  if (btfEndian(bytes) !== null) return bytes
  if (!isElf(bytes)) {
    const got = Buffer.from(bytes.subarray(0, 4)).toString('hex')
    throw new BtfError('NOT_BTF', `neither BTF nor ELF: the first bytes are ${got || '(none)'}`)
  }
  const elf = parseElf(bytes)
  const section = sectionBytes(bytes, elf, '.BTF')
  if (section === null || section.byteLength === 0) {
    const hasDwarf = findSection(elf, '.debug_info') !== null
    throw new BtfError(
      'NO_SECTION',
      `ELF file without .BTF${hasDwarf ? ' (it has DWARF: encode it with pahole)' : ''}`,
    )
  }
  return section
}

/** Parses raw BTF or an ELF file with `.BTF`; `base` for split BTF. Throws BtfError. */
export function loadBtf(bytes: Uint8Array, options: { readonly base?: Btf } = {}): Btf {
  return parseBtf(rawBtf(bytes), options)
}
