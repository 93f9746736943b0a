import { type Endian, fromWords } from './bytes.ts'
import { BtfError } from './errors.ts'
import { StringBuilder } from './string-builder.ts'
import type { BtfType } from './types.ts'
import { Kind, kindName, makeInfo, MAX_VLEN, RECORD_WORDS } from './wire.ts'

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
    return frameBtf(this.#words.subarray(0, this.#used), this.#strings.finish(), endian)
  }
}

/** A BTF of records, as words of native byte order, and strings: a 24-byte header, nothing between the two. */
export function frameBtf(words: Uint32Array, strings: Uint8Array, endian: Endian): Uint8Array {
  const typesBytes = words.byteLength
  const header = new Uint32Array([0, HEADER_BYTES, 0, typesBytes, typesBytes, strings.byteLength])
  const out = new Uint8Array(HEADER_BYTES + typesBytes + strings.byteLength)
  out.set(fromWords(header, endian), 0)
  out.set(endian === 'little' ? [0x9f, 0xeb, 1, 0] : [0xeb, 0x9f, 1, 0], 0)
  out.set(fromWords(words, endian), HEADER_BYTES)
  out.set(strings, HEADER_BYTES + typesBytes)
  return out
}

/**
 * Encodes types as a BTF of their own: the first gets id 1 whatever its `id` says, so `types[i]` must be what others
 * mean by id i + 1. The inverse of `Btf.type`. Throws what {@link encodeType} throws.
 */
export function encodeBtf(types: readonly BtfType[], endian: Endian = 'little'): Uint8Array {
  const writer = new BtfWriter()
  for (const type of types) encodeType(writer, type)
  return writer.finish(endian)
}

/**
 * Adds one type to a writer and gives its id. Throws BtfError `MALFORMED` for values that do not fit their field, and
 * `UNSUPPORTED` for kinds that only a layout section describes.
 */
export function encodeType(writer: BtfWriter, type: BtfType): number {
  const name = writer.string(type.name)
  const fits = (what: string, value: number, least: number, most: number): number => {
    if (Number.isInteger(value) && value >= least && value <= most) return value
    const subject = `${type.kind} ${type.name === '' ? '(anonymous)' : type.name}`
    throw new BtfError('MALFORMED', `${subject}: ${what} ${value}, expected ${least} to ${most}`)
  }
  const u32 = (what: string, value: number): number => fits(what, value, 0, 0xffffffff)
  const typeId = (value: number): number => u32('type id', value)
  const add = (
    kind: number,
    sizeOrType: number,
    words: readonly number[] = [],
    vlen = 0,
    flag = false,
  ): number => {
    const info = makeInfo(kind, fits('vlen', vlen, 0, MAX_VLEN), flag)
    return writer.add(name, info, u32('size or type id', sizeOrType), words)
  }
  const reference = (kind: number, to: number): number => add(kind, typeId(to))
  switch (type.kind) {
    case 'void':
      throw new BtfError('MALFORMED', 'void is id 0 of every BTF and has no record')
    case 'int': {
      const encoding = fits('encoding', type.encoding, 0, 0x0f)
      const offset = fits('bit offset', type.offsetBits, 0, 0xff)
      return add(Kind.INT, type.sizeBytes, [
        (encoding << 24) | (offset << 16) | fits('bits', type.bits, 0, 0xff),
      ])
    }
    case 'ptr':
      return reference(Kind.PTR, type.typeId)
    case 'volatile':
      return reference(Kind.VOLATILE, type.typeId)
    case 'const':
      return reference(Kind.CONST, type.typeId)
    case 'restrict':
      return reference(Kind.RESTRICT, type.typeId)
    case 'typedef':
      return reference(Kind.TYPEDEF, type.typeId)
    case 'type_tag':
      return add(Kind.TYPE_TAG, type.typeId, [], 0, type.isAttribute)
    case 'array':
      return add(Kind.ARRAY, 0, [typeId(type.typeId), typeId(type.indexTypeId), u32('length', type.length)])
    case 'struct':
    case 'union': {
      const mostBits = type.hasBitfieldSizes ? 0xff : 0
      const mostOffset = type.hasBitfieldSizes ? 0xffffff : 0xffffffff
      const words = type.members.flatMap((member) => {
        const bits = fits(`bits of member ${member.name}`, member.bitfieldBits, 0, mostBits)
        const offset = fits(`bit offset of member ${member.name}`, member.offsetBits, 0, mostOffset)
        return [writer.string(member.name), typeId(member.typeId), ((bits << 24) | offset) >>> 0]
      })
      const kind = type.kind === 'struct' ? Kind.STRUCT : Kind.UNION
      return add(kind, type.sizeBytes, words, type.members.length, type.hasBitfieldSizes)
    }
    case 'enum': {
      const [least, most] = type.isSigned ? [-0x80000000, 0x7fffffff] : [0, 0xffffffff]
      const words = type.values.flatMap((v) => [
        writer.string(v.name),
        fits(`value ${v.name}`, Number(v.value), least, most) >>> 0,
      ])
      return add(Kind.ENUM, type.sizeBytes, words, type.values.length, type.isSigned)
    }
    case 'enum64': {
      const words = type.values.flatMap((v) => {
        const wrapped = type.isSigned ? BigInt.asIntN(64, v.value) : BigInt.asUintN(64, v.value)
        if (wrapped !== v.value) {
          throw new BtfError('MALFORMED', `enum64 ${type.name}: value ${v.name} ${v.value} has no 64 bits`)
        }
        return [
          writer.string(v.name),
          Number(BigInt.asUintN(32, v.value)),
          Number(BigInt.asUintN(32, v.value >> 32n)),
        ]
      })
      return add(Kind.ENUM64, type.sizeBytes, words, type.values.length, type.isSigned)
    }
    case 'fwd':
      return add(Kind.FWD, 0, [], 0, type.isUnion)
    case 'func':
      return add(Kind.FUNC, typeId(type.typeId), [], type.linkage)
    case 'func_proto': {
      const words = type.params.flatMap((param) => [writer.string(param.name), typeId(param.typeId)])
      return add(Kind.FUNC_PROTO, typeId(type.typeId), words, type.params.length)
    }
    case 'var':
      return add(Kind.VAR, typeId(type.typeId), [u32('linkage', type.linkage)])
    case 'datasec': {
      const words = type.vars.flatMap((v) => [
        typeId(v.typeId),
        u32('offset', v.offset),
        u32('size', v.sizeBytes),
      ])
      return add(Kind.DATASEC, type.sizeBytes, words, type.vars.length)
    }
    case 'float':
      return add(Kind.FLOAT, type.sizeBytes)
    case 'decl_tag': {
      const component = fits('component index', type.componentIndex, -0x80000000, 0x7fffffff)
      return add(Kind.DECL_TAG, typeId(type.typeId), [component >>> 0], 0, type.isAttribute)
    }
    case 'unknown':
      throw new BtfError(
        'UNSUPPORTED',
        `${kindName(type.kindNumber)} ${type.name}: cannot be written without a layout section`,
      )
  }
}
