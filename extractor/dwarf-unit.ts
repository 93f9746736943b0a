import type { UnitShape } from './dwarf-forms.ts'
import { ExtractError } from './types.ts'

/** The head of a unit of `.debug_info` or `.debug_types`, all places counted from its first byte. */
export interface UnitHead extends UnitShape {
  readonly abbrevOffset: number
  readonly abbrevOffsetAt: number
  /** Where its entries begin. */
  readonly entriesAt: number
}

/** Bytes of a unit's length, in the longer of its two forms. */
export const UNIT_LENGTH_BYTES = 12

/** Bytes of a whole unit with its length in front; null where that is cut, or reserved (DWARF 5, 7.2.2). */
export function unitBytes(head: Uint8Array, isLittle: boolean): number | null {
  if (head.byteLength < 4) return null
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const length = view.getUint32(0, isLittle)
  if (length < 0xfffffff0) return 4 + length
  if (length !== 0xffffffff || head.byteLength < 12) return null
  return 12 + Number(view.getBigUint64(4, isLittle))
}

/** By DW_UT_*, of compile to split_type: what follows in the head besides (DWARF 5, 7.5.1.1 to 7.5.1.3). */
const UNIT_TYPE_EXTRA: ReadonlyMap<number, (offsetBytes: number) => number> = new Map([
  [1, () => 0],
  [2, (offsetBytes: number) => 8 + offsetBytes],
  [3, () => 0],
  [4, () => 8],
  [5, () => 8],
  [6, (offsetBytes: number) => 8 + offsetBytes],
])

/**
 * Reads the head of a whole unit of `section` (7.5.1 of DWARF 2 to 5). Throws ExtractError `MALFORMED`, and `UNSUPPORTED`
 * where it is of another version.
 */
export function readUnitHead(unit: DataView, isLittle: boolean, section: string, name: string): UnitHead {
  const offsetBytes = unit.getUint32(0, isLittle) === 0xffffffff ? 8 : 4
  const versionAt = offsetBytes === 8 ? 12 : 4
  const offsetAt = (at: number): number =>
    offsetBytes === 8 ? Number(unit.getBigUint64(at, isLittle)) : unit.getUint32(at, isLittle)
  try {
    const version = unit.getUint16(versionAt, isLittle)
    if (version < 2 || version > 5)
      throw new ExtractError('UNSUPPORTED', `${name}: ${section}: a unit of DWARF ${version}`)
    if (version < 5) {
      const abbrevOffsetAt = versionAt + 2
      const addressAt = abbrevOffsetAt + offsetBytes
      // Of a type unit follow a signature and the offset of its type.
      const extra = section === '.debug_types' ? 8 + offsetBytes : 0
      return {
        version,
        offsetBytes,
        addressBytes: unit.getUint8(addressAt),
        abbrevOffset: offsetAt(abbrevOffsetAt),
        abbrevOffsetAt,
        entriesAt: addressAt + 1 + extra,
      }
    }
    const extra = UNIT_TYPE_EXTRA.get(unit.getUint8(versionAt + 2))
    if (extra === undefined) {
      throw new ExtractError(
        'UNSUPPORTED',
        `${name}: ${section}: a unit of type ${unit.getUint8(versionAt + 2)}, which DWARF 5 does not have`,
      )
    }
    const abbrevOffsetAt = versionAt + 4
    return {
      version,
      offsetBytes,
      addressBytes: unit.getUint8(versionAt + 3),
      abbrevOffset: offsetAt(abbrevOffsetAt),
      abbrevOffsetAt,
      entriesAt: abbrevOffsetAt + offsetBytes + extra(offsetBytes),
    }
  } catch (err) {
    if (!(err instanceof RangeError)) throw err
    throw new ExtractError(
      'MALFORMED',
      `${name}: ${section}: a unit of ${unit.byteLength} bytes, which has no head`,
    )
  }
}
