/** `.BTF.ext`: what instructions of a BPF object refer to. Source: btf.rst section 4.2, libbpf's btf_ext_parse. */
import { ByteReader } from './bytes.ts'
import { BtfError } from './errors.ts'
import type { StringTable } from './strings.ts'
import { btfEndian } from './wire.ts'

/** One CO-RE relocation record, `struct bpf_core_relo`. */
export interface CoreRelo {
  /** ELF section of the instruction. */
  readonly section: string
  /** Byte offset of the instruction in it. */
  readonly insnOffset: number
  /** Root type, an id of the object's own BTF. */
  readonly typeId: number
  /** `0:1:2`; what the numbers mean depends on the kind. */
  readonly access: string
  /** `enum bpf_core_relo_kind`. */
  readonly kind: number
}

/** Which function (an id of a FUNC) starts at which instruction. */
export interface FuncInfo {
  readonly section: string
  readonly insnOffset: number
  readonly typeId: number
}

export interface BtfExt {
  readonly funcInfos: readonly FuncInfo[]
  readonly coreRelos: readonly CoreRelo[]
}

const MIN_HEADER_BYTES = 24
/** The header has the CO-RE part only from this length on. */
const CORE_HEADER_BYTES = 32

/** Parses `.BTF.ext` of an object whose `.BTF` has these strings. Throws BtfError `MALFORMED` or `UNSUPPORTED`. */
export function parseBtfExt(bytes: Uint8Array, strings: StringTable): BtfExt {
  const endian = btfEndian(bytes)
  if (endian === null) throw new BtfError('MALFORMED', '.BTF.ext: expected magic 0xeb9f')
  const reader = new ByteReader(bytes, endian, '.BTF.ext')
  if (reader.u8(2) !== 1) throw new BtfError('UNSUPPORTED', `.BTF.ext: version ${reader.u8(2)}, expected 1`)
  const headerBytes = reader.u32(4)
  if (headerBytes < MIN_HEADER_BYTES || headerBytes > bytes.byteLength) {
    throw new BtfError('MALFORMED', `.BTF.ext: hdr_len ${headerBytes}, expected ${MIN_HEADER_BYTES} or more`)
  }
  const part = (at: number): InfoPart => ({
    offset: headerBytes + reader.u32(at),
    length: reader.u32(at + 4),
  })
  return {
    funcInfos: readInfos(reader, strings, 'func_info', part(8), 8, (at, section) => ({
      section,
      insnOffset: reader.u32(at),
      typeId: reader.u32(at + 4),
    })),
    coreRelos:
      headerBytes < CORE_HEADER_BYTES
        ? []
        : readInfos(reader, strings, 'core_relo', part(24), 16, (at, section) => ({
            section,
            insnOffset: reader.u32(at),
            typeId: reader.u32(at + 4),
            access: strings.at(reader.u32(at + 8)),
            kind: reader.u32(at + 12),
          })),
  }
}

interface InfoPart {
  readonly offset: number
  readonly length: number
}

/** A part is a record size, then for each ELF section its name, a count and that many records. */
function readInfos<T>(
  reader: ByteReader,
  strings: StringTable,
  what: string,
  part: InfoPart,
  leastBytes: number,
  read: (at: number, section: string) => T,
): T[] {
  if (part.length === 0) return []
  const end = part.offset + part.length
  reader.slice(part.offset, part.length)
  const recordBytes = reader.u32(part.offset)
  if (recordBytes < leastBytes || recordBytes % 4 !== 0) {
    throw new BtfError(
      'MALFORMED',
      `.BTF.ext ${what}: records of ${recordBytes} bytes, expected ${leastBytes} or more`,
    )
  }
  const infos: T[] = []
  for (let at = part.offset + 4; at < end;) {
    const section = strings.at(reader.u32(at))
    const count = reader.u32(at + 4)
    at += 8
    if (count === 0 || at + count * recordBytes > end) {
      throw new BtfError(
        'MALFORMED',
        `.BTF.ext ${what}: ${count} records at byte ${at} of section ${section} do not fit`,
      )
    }
    for (let i = 0; i < count; i++, at += recordBytes) infos.push(read(at, section))
  }
  return infos
}
