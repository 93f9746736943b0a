/**
 * The bytes of BTF: header, records and their sizes. What a record means is in types.ts.
 * Source: Documentation/bpf/btf.rst and include/uapi/linux/btf.h; the 32-byte header, layout section and wide vlen
 * are those of Linux 7.1 / libbpf 1.8.
 */
import { limits } from '../core/limits.ts'
import { type Endian, toWords } from './bytes.ts'
import { BtfError } from './errors.ts'

/** Kinds by their uapi names, with the kernel that added them where it was not the first (4.18). */
export const Kind = {
  UNKN: 0,
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  /** 5.0 */
  FUNC: 12,
  /** 5.0 */
  FUNC_PROTO: 13,
  /** 5.2 */
  VAR: 14,
  /** 5.2 */
  DATASEC: 15,
  /** 5.13 */
  FLOAT: 16,
  /** 5.16 */
  DECL_TAG: 17,
  /** 5.17 */
  TYPE_TAG: 18,
  /** 6.0 */
  ENUM64: 19,
} as const

export const KIND_NAMES = [
  'void',
  'int',
  'ptr',
  'array',
  'struct',
  'union',
  'enum',
  'fwd',
  'typedef',
  'volatile',
  'const',
  'restrict',
  'func',
  'func_proto',
  'var',
  'datasec',
  'float',
  'decl_tag',
  'type_tag',
  'enum64',
] as const

export function kindName(kind: number): string {
  return KIND_NAMES[kind] ?? `kind ${kind}`
}

/** Words of every record before its trailing data: name_off, info, size or type. */
export const RECORD_WORDS = 3

/** Words after the record that do not depend on vlen, by kind. */
export const INFO_WORDS: readonly number[] = [0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0]

/** Words for each of vlen elements, by kind. FUNC's vlen is its linkage and has none. */
export const ELEMENT_WORDS: readonly number[] = [0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3]

/** `info`: vlen in bits 0 to 23, kind in 24 to 30, kind_flag in 31. Kernels before 7.1 leave the upper bits zero. */
export function infoVlen(info: number): number {
  return info & 0xffffff
}
export function infoKind(info: number): number {
  return (info >>> 24) & 0x7f
}
export function infoKindFlag(info: number): boolean {
  return info >>> 31 === 1
}
/** The most elements that `info` can count. Kernels before 7.1 read 16 bits. */
export const MAX_VLEN = 0xffffff

export function makeInfo(kind: number, vlen: number, kindFlag: boolean): number {
  return ((kindFlag ? 0x80000000 : 0) | (kind << 24) | vlen) >>> 0
}

/** Where things are in a BTF; offsets from its first byte. */
export interface BtfHeader {
  readonly endian: Endian
  /** `hdr_len`: 24, or 32 with a layout section, or more. */
  readonly headerBytes: number
  readonly typesOffset: number
  readonly typesBytes: number
  readonly stringsOffset: number
  readonly stringsBytes: number
  readonly layoutOffset: number
  /** 0 where there is no layout section. */
  readonly layoutBytes: number
  /** To the end of the last section; a file may have more behind it, which is not BTF's. */
  readonly totalBytes: number
}

const MAGIC = 0xeb9f
const MIN_HEADER_BYTES = 24
const LAYOUT_HEADER_BYTES = 32

/** The byte order that the first two bytes tell; null where they are not BTF's. */
export function btfEndian(bytes: Uint8Array): Endian | null {
  if (bytes[0] === 0x9f && bytes[1] === 0xeb) return 'little'
  if (bytes[0] === 0xeb && bytes[1] === 0x9f) return 'big'
  return null
}

/**
 * Reads and checks the header. Follows btf_parse_hdr of libbpf; bytes behind the known header must be zero.
 * `sizeBytes` is how much there is in all, where `bytes` is only the beginning (at least the header).
 * Throws BtfError `NOT_BTF`, `UNSUPPORTED` or `MALFORMED`.
 */
export function readBtfHeader(bytes: Uint8Array, sizeBytes: number = bytes.byteLength): BtfHeader {
  const endian = btfEndian(bytes)
  if (endian === null) {
    const got = Buffer.from(bytes.subarray(0, 4)).toString('hex')
    throw new BtfError(
      'NOT_BTF',
      `BTF header: expected magic 0x${MAGIC.toString(16)}, got bytes ${got || '(none)'}`,
    )
  }
  if (bytes.byteLength < MIN_HEADER_BYTES) {
    throw malformed(`${MIN_HEADER_BYTES} bytes are the least, ${bytes.byteLength} are there`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const u32 = (offset: number): number => view.getUint32(offset, endian === 'little')
  if (bytes[2] !== 1) throw new BtfError('UNSUPPORTED', `BTF header: version ${bytes[2]}, expected 1`)
  if (bytes[3] !== 0) throw new BtfError('UNSUPPORTED', `BTF header: flags ${bytes[3]}, expected 0`)
  const headerBytes = u32(4)
  if (headerBytes < MIN_HEADER_BYTES || headerBytes > bytes.byteLength) {
    throw malformed(`hdr_len ${headerBytes}, expected ${MIN_HEADER_BYTES} to ${bytes.byteLength}`)
  }
  const hasLayout = headerBytes >= LAYOUT_HEADER_BYTES
  for (let at = hasLayout ? LAYOUT_HEADER_BYTES : MIN_HEADER_BYTES; at < headerBytes; at++) {
    if (bytes[at] !== 0) {
      throw new BtfError(
        'UNSUPPORTED',
        `BTF header: byte ${at} of ${headerBytes} is set and has no known meaning`,
      )
    }
  }
  const [typeOff, typesBytes, strOff, stringsBytes] = [u32(8), u32(12), u32(16), u32(20)]
  const [layoutOff, layoutBytes] = hasLayout ? [u32(24), u32(28)] : [0, 0]
  if (typeOff % 4 !== 0) throw malformed(`type_off ${typeOff} is not a multiple of 4`)
  if (typesBytes % 4 !== 0) throw malformed(`type_len ${typesBytes} is not a multiple of 4`)
  if (typeOff + typesBytes > strOff) {
    throw malformed(`types end at ${typeOff + typesBytes}, behind the strings' start at ${strOff}`)
  }
  if (layoutBytes > 0) {
    if (layoutOff % 4 !== 0 || layoutBytes % 4 !== 0) throw malformed(`layout section is not aligned to 4`)
    if (layoutOff < typeOff + typesBytes || layoutOff + layoutBytes > strOff) {
      throw malformed(`layout section at ${layoutOff} does not lie between types and strings`)
    }
  }
  const totalBytes = headerBytes + strOff + stringsBytes
  if (totalBytes > sizeBytes)
    throw malformed(`sections end at byte ${totalBytes}, ${sizeBytes} bytes are there`)
  if (totalBytes > limits.btf.maxBytes) {
    throw new BtfError('LIMIT', `BTF of ${totalBytes} bytes, ${limits.btf.maxBytes} are allowed`)
  }
  return {
    endian,
    headerBytes,
    typesOffset: headerBytes + typeOff,
    typesBytes,
    stringsOffset: headerBytes + strOff,
    stringsBytes,
    layoutOffset: headerBytes + layoutOff,
    layoutBytes,
    totalBytes,
  }
}

/** Sizes of records by kind, in words: those that we know, and the layout section's for kinds that we do not. */
export interface RecordSizes {
  /** Words of a record without elements; 0 where nobody knows. */
  readonly fixedWords: Uint8Array
  /** Words of each of vlen elements. */
  readonly elementWords: Uint8Array
}

/** Number of kinds that `info` can name. */
const MAX_KINDS = 128

/**
 * Record sizes for a BTF, of kinds that are known or described. Split BTF without a layout section of its
 * own has its base's (btf_type_size_unknown of libbpf). Throws BtfError `MALFORMED`, or `UNSUPPORTED` where the
 * section gives a kind that we know another size.
 */
export function recordSizes(bytes: Uint8Array, header: BtfHeader, base: RecordSizes | null): RecordSizes {
  if (header.layoutBytes === 0 && base !== null) return base
  const fixedWords = new Uint8Array(MAX_KINDS)
  const elementWords = new Uint8Array(MAX_KINDS)
  for (let kind = 1; kind < INFO_WORDS.length; kind++) {
    fixedWords[kind] = RECORD_WORDS + (INFO_WORDS[kind] ?? 0)
    elementWords[kind] = ELEMENT_WORDS[kind] ?? 0
  }
  const kinds = Math.min(header.layoutBytes >>> 2, MAX_KINDS)
  for (let kind = 0; kind < kinds; kind++) {
    const at = header.layoutOffset + kind * 4
    const [infoBytes = 0, elementBytes = 0] = bytes.subarray(at, at + 2)
    if (infoBytes % 4 !== 0 || elementBytes % 4 !== 0) {
      throw malformedLayout(
        `${kindName(kind)} at byte ${at}: ${infoBytes} and ${elementBytes} bytes, expected multiples of 4`,
      )
    }
    if (kind < INFO_WORDS.length) {
      if (infoBytes >>> 2 !== INFO_WORDS[kind] || elementBytes >>> 2 !== ELEMENT_WORDS[kind]) {
        throw new BtfError(
          'UNSUPPORTED',
          `layout section: ${kindName(kind)} at byte ${at} has records of ${infoBytes} bytes and ${elementBytes} per element, ` +
            `expected ${(INFO_WORDS[kind] ?? 0) * 4} and ${(ELEMENT_WORDS[kind] ?? 0) * 4}`,
        )
      }
    } else {
      fixedWords[kind] = RECORD_WORDS + (infoBytes >>> 2)
      elementWords[kind] = elementBytes >>> 2
    }
  }
  return { fixedWords, elementWords }
}

/** The type section as words of native byte order. */
export function typeWords(bytes: Uint8Array, header: BtfHeader): Uint32Array {
  return toWords(bytes.subarray(header.typesOffset, header.typesOffset + header.typesBytes), header.endian)
}

function malformed(problem: string): BtfError {
  return new BtfError('MALFORMED', `BTF header: ${problem}`)
}

function malformedLayout(problem: string): BtfError {
  return new BtfError('MALFORMED', `layout section: ${problem}`)
}
