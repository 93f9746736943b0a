import { type Btf, Kind, skipModifiersAndTypedefs } from '../btf/index.ts'
import type { Accessor } from './local-spec.ts'
import { sizeOrNull } from './match.ts'
import { reloClass, ReloKind, reloKindName } from './relocation-kind.ts'

/** What a relocation's value is computed from: the object's own types, or a kernel's. */
export interface ValueSource {
  readonly btf: Btf
  readonly pointerBytes: number
  readonly rootId: number
  readonly leaf: Accessor | null
  readonly offsetBits: number
}

/** The number that an instruction gets. */
export interface ReloValue {
  /** 64 bits, as the instruction sees them. */
  readonly value: bigint
  /** Bytes that a load or store of the field moves; 0 where the value says nothing about memory. */
  readonly accessBytes: number
  /** Whether a load may change its width without changing what is read: pointers and unsigned integers. */
  readonly widthKind: 'pointer' | 'unsigned' | 'other'
}

export type ValueResult =
  | { readonly ok: true; readonly value: ReloValue }
  /** libbpf ends the load. */
  | { readonly ok: false; readonly problem: string }

/** The value of a relocation whose source was found. Follows bpf_core_calc_*_relo of libbpf (relo_core.c). */
export function relocationValue(kind: number, source: ValueSource): ValueResult {
  switch (reloClass(kind)) {
    case 'field':
      return fieldValue(kind, source)
    case 'enumval':
      return plain(kind === ReloKind.ENUMVAL_EXISTS ? 1n : enumeratorValue(source))
    case 'type':
      return typeValue(kind, source)
    case null:
      return { ok: false, problem: `relocation of unknown kind ${kind}` }
  }
}

function typeValue(kind: number, { btf, rootId, pointerBytes }: ValueSource): ValueResult {
  switch (kind) {
    case ReloKind.TYPE_ID_LOCAL:
    case ReloKind.TYPE_ID_TARGET:
      return plain(BigInt(rootId))
    case ReloKind.TYPE_SIZE: {
      const bytes = sizeOrNull(btf, rootId, pointerBytes)
      return bytes === null ? { ok: false, problem: `${btf.name(rootId)} has no size` } : plain(BigInt(bytes))
    }
    default:
      return plain(1n)
  }
}

function enumeratorValue({ btf, leaf }: ValueSource): bigint {
  if (leaf === null) return 0n
  if (btf.kind(leaf.typeId) === Kind.ENUM64) {
    const at = 4 + leaf.index * 3
    return (BigInt(btf.word(leaf.typeId, at + 1)) << 32n) | BigInt(btf.word(leaf.typeId, at))
  }
  // libbpf widens the 32 bits as signed, whatever the enum's kind_flag says.
  return BigInt.asUintN(64, BigInt(btf.word(leaf.typeId, 4 + leaf.index * 2) | 0))
}

function fieldValue(kind: number, source: ValueSource): ValueResult {
  const { leaf } = source
  if (kind === ReloKind.FIELD_EXISTS) return plain(1n)
  if (leaf === null) return { ok: false, problem: 'no field' }
  return leaf.name === null ? elementValue(kind, source, leaf) : memberValue(kind, source, leaf)
}

function elementValue(kind: number, source: ValueSource, leaf: Accessor): ValueResult {
  const { btf, pointerBytes, offsetBits } = source
  if (kind !== ReloKind.FIELD_BYTE_OFFSET && kind !== ReloKind.FIELD_BYTE_SIZE) {
    return { ok: false, problem: `${reloKindName(kind)} of an array's element` }
  }
  const bytes = sizeOrNull(btf, leaf.typeId, pointerBytes)
  if (bytes === null) return { ok: false, problem: 'an element without size' }
  return kind === ReloKind.FIELD_BYTE_SIZE
    ? plain(BigInt(bytes))
    : located(source, Math.floor(offsetBits / 8), leaf.typeId)
}

function memberValue(kind: number, source: ValueSource, leaf: Accessor): ValueResult {
  const { btf, pointerBytes, offsetBits } = source
  const memberType = btf.word(leaf.typeId, 4 + leaf.index * 3)
  const typeId = skipModifiersAndTypedefs(btf, memberType)
  const widthBits = btf.kindFlag(leaf.typeId) ? btf.word(leaf.typeId, 5 + leaf.index * 3) >>> 24 : 0
  const isBitfield = widthBits > 0
  const typeBytes = isBitfield ? btf.sizeOrType(typeId) : sizeOrNull(btf, typeId, pointerBytes)
  if (typeBytes === null) return { ok: false, problem: `field ${leaf.name ?? ''} without size` }
  let bytes = typeBytes
  let byteOffset = Math.floor(offsetBits / 8)
  if (isBitfield) {
    if (bytes === 0) return { ok: false, problem: `bitfield ${leaf.name ?? ''} in a type without size` }
    byteOffset = alignDown(byteOffset, bytes)
    while (offsetBits + widthBits - byteOffset * 8 > bytes * 8) {
      if (bytes >= 8)
        return { ok: false, problem: `bitfield ${leaf.name ?? ''} needs more than one 64-bit load` }
      bytes *= 2
      byteOffset = alignDown(Math.floor(offsetBits / 8), bytes)
    }
  }
  const bits = isBitfield ? widthBits : bytes * 8
  switch (kind) {
    case ReloKind.FIELD_BYTE_OFFSET:
      return isBitfield ? plain(BigInt(byteOffset)) : located(source, byteOffset, typeId)
    case ReloKind.FIELD_BYTE_SIZE:
      return plain(BigInt(bytes))
    case ReloKind.FIELD_SIGNED:
      return plain(isSigned(btf, typeId) ? 1n : 0n)
    case ReloKind.FIELD_LSHIFT_U64:
      // libbpf goes by the machine it was built for, which is the kernel's.
      return btf.endian === 'little'
        ? shift(64 - (offsetBits + bits - byteOffset * 8))
        : shift((8 - bytes) * 8 + (offsetBits - byteOffset * 8))
    default:
      return shift(64 - bits)
  }
}

/** libbpf computes shifts in 32 bits; of what is wider than a register they make no sense, and wrap. */
function shift(bits: number): ValueResult {
  return plain(BigInt(bits >>> 0))
}

/** A byte offset, and how wide a load from there is: of arrays, one element is loaded. */
function located(source: ValueSource, byteOffset: number, fieldTypeId: number): ValueResult {
  const { btf, pointerBytes } = source
  let typeId = skipModifiersAndTypedefs(btf, fieldTypeId)
  while (btf.kind(typeId) === Kind.ARRAY) typeId = skipModifiersAndTypedefs(btf, btf.word(typeId, 3))
  const accessBytes = sizeOrNull(btf, typeId, pointerBytes)
  if (accessBytes === null) return { ok: false, problem: 'an element without size' }
  const kind = btf.kind(typeId)
  const isUnsigned = kind === Kind.INT && ((btf.word(typeId, 3) >>> 24) & 0xf) !== INT_SIGNED
  const widthKind = kind === Kind.PTR ? 'pointer' : isUnsigned ? 'unsigned' : 'other'
  return { ok: true, value: { value: BigInt(byteOffset), accessBytes, widthKind } }
}

const INT_SIGNED = 1

function isSigned(btf: Btf, typeId: number): boolean {
  const kind = btf.kind(typeId)
  if (kind === Kind.ENUM || kind === Kind.ENUM64) return btf.kindFlag(typeId)
  return kind === Kind.INT && ((btf.word(typeId, 3) >>> 24) & INT_SIGNED) !== 0
}

function alignDown(offset: number, to: number): number {
  return Math.floor(offset / to) * to
}

function plain(value: bigint): ValueResult {
  return { ok: true, value: { value, accessBytes: 0, widthKind: 'other' } }
}
