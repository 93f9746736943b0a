import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { type Elf, findSection, SHT_NOTE } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { type Abbreviation, readTables } from './dwarf-abbrev.ts'
import { elfAtOrNull, SHF_COMPRESSED } from './elf-file.ts'

/** A byte of a file that is to be another. */
export interface Patch {
  readonly at: number
  readonly byte: number
}

/**
 * Makes the DWARF at `path`, a file of ours, one that pahole reads although dwz(1) went over it: types stay where they
 * are, and pahole is told to follow references between units. Says whether dwz did; changes nothing where it did not,
 * or where abbreviations are compressed.
 */
export function undoDwz(path: string): boolean {
  const elf = elfAtOrNull(path)
  const abbrev = elf === null ? null : findSection(elf, '.debug_abbrev')
  if (elf === null || abbrev === null || (abbrev.flags & SHF_COMPRESSED) !== 0) return false
  if (abbrev.sizeBytes > limits.dwarf.maxAbbrevBytes) return false
  const file = openSync(path, 'r+')
  const read = (offset: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length)
    return bytes.subarray(0, readSync(file, bytes, 0, length, offset))
  }
  const write = (offset: number, patches: readonly Patch[]): void => {
    for (const { at, byte } of patches) writeSync(file, Buffer.of(byte), 0, 1, offset + at)
  }
  try {
    const patches = abbreviationPatches(read(abbrev.offset, abbrev.sizeBytes))
    if (patches.length === 0) return false
    write(abbrev.offset, patches)
    for (const { type, offset, sizeBytes } of elf.sections) {
      if (type !== SHT_NOTE || sizeBytes > limits.elf.maxLinkBytes) continue
      write(offset, notePatches(read(offset, sizeBytes), elf.endian))
    }
    return true
  } finally {
    closeSync(file)
  }
}

const TAG = {
  compile_unit: 0x11,
  subprogram: 0x2e,
  dwarf_procedure: 0x36,
  unspecified_type: 0x3b,
  imported_unit: 0x3d,
}
const AT_TYPE = 0x49
/** No version of DWARF has an attribute of this code (DWARF 5, table 7.5): it is passed over. */
const AT_RESERVED = 0x07

/**
 * What in an abbreviation section pahole must not see; none where there are no imported units.
 *
 * At DW_TAG_imported_unit 1.24 gives up and says nothing, later ones say a little: such become DW_TAG_dwarf_procedure,
 * the one that all pass over without a word. And while it reads all units as one, types are numbered wrong behind
 * each DW_TAG_unspecified_type, which binutils 2.39 and later give to what functions of assembler sources return: these
 * functions return nothing instead, as they do where units are read one by one.
 */
export function abbreviationPatches(section: Uint8Array): Patch[] {
  const patches: Patch[] = []
  let isDwz = false
  for (const table of readTables(section)) {
    const isAssembler = ofAssembler(table)
    for (const { tag, tagAt, attributes } of table) {
      if (tag === TAG.imported_unit) isDwz = true
      if (tag === TAG.imported_unit || (isAssembler && tag === TAG.unspecified_type)) {
        patches.push({ at: tagAt, byte: TAG.dwarf_procedure })
      } else if (isAssembler && tag === TAG.subprogram) {
        const types = attributes.filter(({ attribute }) => attribute === AT_TYPE)
        patches.push(...types.map(({ at }) => ({ at, byte: AT_RESERVED })))
      }
    }
  }
  return isDwz ? patches : []
}

/** True for abbreviations of units that have functions which return what is unspecified, and nothing of other types. */
function ofAssembler(table: readonly Abbreviation[]): boolean {
  const tags = new Set(table.map(({ tag }) => tag))
  const known: ReadonlySet<number> = new Set([
    TAG.compile_unit,
    TAG.subprogram,
    TAG.unspecified_type,
    TAG.imported_unit,
  ])
  return tags.has(TAG.unspecified_type) && [...tags].every((tag) => known.has(tag))
}

const LINUX = Buffer.from('Linux\0\0\0', 'latin1')
const LTO_INFO = 0x101

/**
 * Kernels since 5.13 say in a note whether their units refer to each other, that is, whether they were linked as one
 * (include/linux/elfnote-lto.h); where it says no, pahole does not look (dwarf_loader.c, cus__merging_cu). Now they do.
 */
export function notePatches(notes: Buffer, endian: Elf['endian']): Patch[] {
  const head = Buffer.alloc(12)
  for (const [i, word] of [6, 4, LTO_INFO].entries()) {
    if (endian === 'little') head.writeUInt32LE(word, 4 * i)
    else head.writeUInt32BE(word, 4 * i)
  }
  const needle = Buffer.concat([head, LINUX])
  const at = notes.indexOf(needle)
  const isWhole = at >= 0 && at + needle.byteLength + 4 <= notes.byteLength
  const last = at + needle.byteLength + (endian === 'little' ? 0 : 3)
  return isWhole ? [{ at: last, byte: 1 }] : []
}
