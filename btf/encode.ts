import { type Endian, fromWords } from './bytes.ts'
import { BtfError } from './errors.ts'
import { StringBuilder } from './strings.ts'
import type { BtfType } from './types.ts'
import { Kind, makeInfo, RECORD_WORDS } from './wire.ts'

const HEADER_BYTES = 24

/**
 * Collects records and writes a BTF: always a 24-byte header (the oldest readers know no other), types, strings,
 * nothing between them. The same calls give the same bytes.
 */
export class BtfWriter {
  readonly #strings = new StringBuilder()
  #words = new Uint32Array(1024)
  #used = 0
  #nextId = 1

  /** The offset of a name; empty is 0. */
  string(text: string): number {
    return this.#strings.add(text)
  }

  /** Adds a record of words and gives its id. */
  add(nameOffset: number, info: number, sizeOrType: number, trailing: ArrayLike<number> = []): number {
    const need = this.#used + RECORD_WORDS + trailing.length
    if (need > this.#words.length) {
      const grown = new Uint32Array(Math.max(need, this.#words.length * 2))
      grown.set(this.#words.subarray(0, this.#used))
      this.#words = grown
    }
    this.#words[this.#used] = nameOffset
    this.#words[this.#used + 1] = info
    this.#words[this.#used + 2] = sizeOrType
    this.#words.set(trailing, this.#used + RECORD_WORDS)
    this.#used = need
    return this.#nextId++
  }

  /** The id that the next record gets. */
  get nextId(): number {
    return this.#nextId
  }

  /** The whole BTF in the byte order asked for. */
  finish(endian: Endian): Uint8Array {
    const strings = this.#strings.finish()
    const typesBytes = this.#used * 4
    const header = new Uint32Array([0, HEADER_BYTES, 0, typesBytes, typesBytes, strings.byteLength])
    const out = new Uint8Array(HEADER_BYTES + typesBytes + strings.byteLength)
    out.set(fromWords(header, endian), 0)
    out.set(endian === 'little' ? [0x9f, 0xeb, 1, 0] : [0xeb, 0x9f, 1, 0], 0)
    out.set(fromWords(this.#words.subarray(0, this.#used), endian), HEADER_BYTES)
    out.set(strings, HEADER_BYTES + typesBytes)
    return out
  }
}

/**
 * Encodes types as a BTF of their own: the first gets id 1 whatever its `id` says, so `types[i]` must be what others
 * mean by id i + 1. The inverse of `Btf.type`. Throws BtfError `MALFORMED` for values that do not fit.
 */
export function encodeBtf(types: readonly BtfType[], endian: Endian = 'little'): Uint8Array {
  const writer = new BtfWriter()
  for (const type of types) encodeType(writer, type)
  return writer.finish(endian)
}

/** Adds one type to a writer and gives its id. Throws BtfError `MALFORMED` for values that do not fit. */
export function encodeType(writer: BtfWriter, type: BtfType): number {
  const name = writer.string(type.name)
  const add = (
    kind: number,
    sizeOrType: number,
    words: readonly number[] = [],
    vlen = 0,
    flag = false,
  ): number => writer.add(name, makeInfo(kind, vlen, flag), sizeOrType, words)
  switch (type.kind) {
    case 'void':
      throw new BtfError('MALFORMED', 'void is id 0 of every BTF and has no record')
    case 'int':
      return add(Kind.INT, type.sizeBytes, [(type.encoding << 24) | (type.offsetBits << 16) | type.bits])
    case 'ptr':
      return add(Kind.PTR, type.typeId)
    case 'volatile':
      return add(Kind.VOLATILE, type.typeId)
    case 'const':
      return add(Kind.CONST, type.typeId)
    case 'restrict':
      return add(Kind.RESTRICT, type.typeId)
    case 'typedef':
      return add(Kind.TYPEDEF, type.typeId)
    case 'type_tag':
      return add(Kind.TYPE_TAG, type.typeId, [], 0, type.isAttribute)
    case 'array':
      return add(Kind.ARRAY, 0, [type.typeId, type.indexTypeId, type.length])
    case 'struct':
    case 'union': {
      const words = type.members.flatMap((member) => {
        if (type.hasBitfieldSizes ? member.offsetBits > 0xffffff : member.bitfieldBits !== 0) {
          throw new BtfError(
            'MALFORMED',
            `member ${member.name}: ${member.bitfieldBits} bits at ${member.offsetBits} do not fit the encoding`,
          )
        }
        return [
          writer.string(member.name),
          member.typeId,
          ((member.bitfieldBits << 24) | member.offsetBits) >>> 0,
        ]
      })
      const kind = type.kind === 'struct' ? Kind.STRUCT : Kind.UNION
      return add(kind, type.sizeBytes, words, type.members.length, type.hasBitfieldSizes)
    }
    case 'enum': {
      const words = type.values.flatMap((v) => [writer.string(v.name), Number(BigInt.asUintN(32, v.value))])
      return add(Kind.ENUM, type.sizeBytes, words, type.values.length, type.isSigned)
    }
    case 'enum64': {
      const words = type.values.flatMap((v) => [
        writer.string(v.name),
        Number(BigInt.asUintN(32, v.value)),
        Number(BigInt.asUintN(32, v.value >> 32n)),
      ])
      return add(Kind.ENUM64, type.sizeBytes, words, type.values.length, type.isSigned)
    }
    case 'fwd':
      return add(Kind.FWD, 0, [], 0, type.isUnion)
    case 'func':
      return add(Kind.FUNC, type.typeId, [], type.linkage)
    case 'func_proto': {
      const words = type.params.flatMap((param) => [writer.string(param.name), param.typeId])
      return add(Kind.FUNC_PROTO, type.typeId, words, type.params.length)
    }
    case 'var':
      return add(Kind.VAR, type.typeId, [type.linkage])
    case 'datasec': {
      const words = type.vars.flatMap((v) => [v.typeId, v.offset, v.sizeBytes])
      return add(Kind.DATASEC, type.sizeBytes, words, type.vars.length)
    }
    case 'float':
      return add(Kind.FLOAT, type.sizeBytes)
    case 'decl_tag':
      return add(Kind.DECL_TAG, type.typeId, [type.componentIndex >>> 0], 0, type.isAttribute)
    case 'unknown':
      throw new BtfError(
        'UNSUPPORTED',
        `kind ${type.kindNumber} (${type.name || 'anonymous'}): cannot be written`,
      )
  }
}
