import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { BtfError, type Elf, findSection, readElf } from '../btf/index.ts'

const SHF_COMPRESSED = 0x800
const TAG_IMPORTED_UNIT = 0x3d
const TAG_LABEL = 0x0a
const FORM_IMPLICIT_CONST = 0x21
/** The largest real one, of a kernel, has 15 MB. */
const MAX_ABBREV_BYTES = 256 << 20

/** What dwz(1) did to an ELF file. */
export interface DwzFacts {
  /** True where types that several units share were moved to units of their own (DW_TAG_partial_unit). */
  readonly hasPartialUnits: boolean
  /** True where types were moved to another file, which `.gnu_debugaltlink` names. */
  readonly refersElsewhere: boolean
}

/**
 * Makes the DWARF at `path`, a file of ours, one that pahole 1.24 reads although dwz went over it: that gives up at
 * DW_TAG_imported_unit and says nothing, though it follows references between units. The tags of those entries become
 * DW_TAG_label, which has no meaning where it stands and is passed over; types stay where they are.
 * Says what it found, and changes nothing where that is nothing, or compressed.
 */
export async function readDwz(path: string, change: boolean): Promise<DwzFacts> {
  const sizeBytes = (await stat(path)).size
  const file = openSync(path, change ? 'r+' : 'r')
  try {
    const read = (offset: number, length: number): Buffer => {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, sizeBytes - offset)))
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.byteLength, offset))
    }
    const elf = readElfOrNull(read, sizeBytes)
    const abbrev = elf === null ? null : findSection(elf, '.debug_abbrev')
    const refersElsewhere = elf !== null && findSection(elf, '.gnu_debugaltlink') !== null
    if (abbrev === null || (abbrev.flags & SHF_COMPRESSED) !== 0 || abbrev.sizeBytes > MAX_ABBREV_BYTES) {
      return { hasPartialUnits: false, refersElsewhere }
    }
    const spots = importedUnitTags(read(abbrev.offset, abbrev.sizeBytes))
    if (change) for (const spot of spots) writeSync(file, Buffer.of(TAG_LABEL), 0, 1, abbrev.offset + spot)
    return { hasPartialUnits: spots.length > 0, refersElsewhere }
  } finally {
    closeSync(file)
  }
}

function readElfOrNull(read: (offset: number, length: number) => Buffer, sizeBytes: number): Elf | null {
  try {
    return readElf(read, sizeBytes)
  } catch (err) {
    if (err instanceof BtfError) return null
    throw err
  }
}

/**
 * Offsets of the one-byte tags of imported units in an abbreviation section (DWARF 5, 7.5.3): tables of declarations,
 * each code, tag, a byte for children, and pairs of attribute and form up to 0, 0. Bytes that are none end it.
 */
export function importedUnitTags(section: Uint8Array): number[] {
  const spots: number[] = []
  let at = 0
  const uleb = (): number => {
    let value = 0
    for (let shift = 0; at < section.byteLength; shift += 7) {
      const byte = section[at++] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) break
    }
    return value
  }
  while (at < section.byteLength) {
    if (uleb() === 0) continue
    const spot = at
    if (uleb() === TAG_IMPORTED_UNIT) spots.push(spot)
    at++
    for (;;) {
      const [attribute, form] = [uleb(), uleb()]
      if (form === FORM_IMPLICIT_CONST) uleb()
      if ((attribute === 0 && form === 0) || at >= section.byteLength) break
    }
  }
  return spots
}
