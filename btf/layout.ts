import { limits } from '../core/limits.ts'
import type { Btf } from './btf.ts'
import { malformedType } from './errors.ts'
import { nameEquals } from './name-equals.ts'
import { Kind } from './wire.ts'

/** True for what a type can be wrapped in without being another one: const, volatile, restrict, type_tag. */
export function isModifier(kind: number): boolean {
  return kind === Kind.CONST || kind === Kind.VOLATILE || kind === Kind.RESTRICT || kind === Kind.TYPE_TAG
}

/** The type behind modifiers and typedefs. Throws BtfError `MALFORMED` where they lead nowhere. */
export function skipModifiersAndTypedefs(btf: Btf, id: number): number {
  let at = id
  for (let steps = 0; isModifier(btf.kind(at)) || btf.kind(at) === Kind.TYPEDEF; steps++) {
    if (steps > limits.btf.maxDepth) throw malformedType(id, btf.byteOffset(id), 'endless chain of modifiers')
    at = btf.sizeOrType(at)
  }
  return at
}

/**
 * Bytes that a value of a type takes; null for what has no size (void, functions, forward declarations).
 * `pointerBytes` is the target's. Throws BtfError `MALFORMED` where types nest too deep.
 */
export function sizeOf(btf: Btf, id: number, pointerBytes = 8): number | null {
  let at = id
  let factor = 1
  for (let steps = 0; steps <= limits.btf.maxDepth; steps++) {
    switch (btf.kind(at)) {
      case Kind.INT:
      case Kind.STRUCT:
      case Kind.UNION:
      case Kind.ENUM:
      case Kind.ENUM64:
      case Kind.FLOAT:
      case Kind.DATASEC:
        return factor * btf.sizeOrType(at)
      case Kind.PTR:
        return factor * pointerBytes
      case Kind.TYPEDEF:
      case Kind.CONST:
      case Kind.VOLATILE:
      case Kind.RESTRICT:
      case Kind.TYPE_TAG:
      case Kind.VAR:
      case Kind.DECL_TAG:
        at = btf.sizeOrType(at)
        break
      case Kind.ARRAY:
        factor *= btf.word(at, 5)
        if (factor > Number.MAX_SAFE_INTEGER) {
          throw malformedType(id, btf.byteOffset(id), 'array of more elements than any memory has')
        }
        at = btf.word(at, 3)
        break
      default:
        return null
    }
  }
  throw malformedType(id, btf.byteOffset(id), `nested deeper than ${limits.btf.maxDepth}`)
}

/** Where a member lies, by the words of its record. */
export interface MemberSpot {
  readonly nameOffset: number
  readonly typeId: number
  /** From the start of the struct. */
  readonly offsetBits: number
  /** 0 where it is no bitfield. */
  readonly bitfieldBits: number
}

/**
 * Member `index` of a struct or union. Without kind_flag (pahole before 1.13) a bitfield's width, and a part of its
 * offset, are those of its INT. Throws BtfError `MALFORMED` for a type that is not there.
 */
export function memberSpot(btf: Btf, id: number, index: number): MemberSpot {
  const nameOffset = btf.word(id, 3 + index * 3)
  const typeId = btf.word(id, 4 + index * 3)
  const raw = btf.word(id, 5 + index * 3)
  if (btf.kindFlag(id)) return { nameOffset, typeId, offsetBits: raw & 0xffffff, bitfieldBits: raw >>> 24 }
  const target = skipModifiersAndTypedefs(btf, typeId)
  if (btf.kind(target) === Kind.INT) {
    const data = btf.word(target, 3)
    const [bits, offset] = [data & 0xff, (data >>> 16) & 0xff]
    if (bits !== btf.sizeOrType(target) * 8 || offset !== 0 || raw % 8 !== 0) {
      return { nameOffset, typeId, offsetBits: raw + offset, bitfieldBits: bits }
    }
  }
  return { nameOffset, typeId, offsetBits: raw, bitfieldBits: 0 }
}

/** A member found by name, wherever in anonymous structs and unions it lies. */
export interface FoundMember {
  readonly typeId: number
  /** From the start of the type that was searched. */
  readonly offsetBits: number
  /** 0 where it is no bitfield. */
  readonly bitfieldBits: number
}

/**
 * The first member of that name, anonymous members searched in depth; null where there is none. Throws BtfError
 * `MALFORMED` for ids that are not there and types that nest too deep.
 */
export function findMember(btf: Btf, id: number, name: string): FoundMember | null {
  return searchMembers(btf, id, name, 0, new Set())
}

/** `barren` are types that were searched in vain: one that hostile nesting reaches a million times is read once. */
function searchMembers(
  btf: Btf,
  id: number,
  name: string,
  depth: number,
  barren: Set<number>,
): FoundMember | null {
  const at = skipModifiersAndTypedefs(btf, id)
  const kind = btf.kind(at)
  if ((kind !== Kind.STRUCT && kind !== Kind.UNION) || barren.has(at)) return null
  if (depth > limits.btf.maxDepth) {
    throw malformedType(at, btf.byteOffset(at), `nested deeper than ${limits.btf.maxDepth}`)
  }
  for (let i = 0; i < btf.vlen(at); i++) {
    const nameOffset = btf.word(at, 3 + i * 3)
    if (nameOffset === 0) {
      const { typeId, offsetBits } = memberSpot(btf, at, i)
      const found = searchMembers(btf, typeId, name, depth + 1, barren)
      if (found !== null) return { ...found, offsetBits: offsetBits + found.offsetBits }
    } else if (nameEquals(btf.strings, nameOffset, name)) {
      const { typeId, offsetBits, bitfieldBits } = memberSpot(btf, at, i)
      return { typeId, offsetBits, bitfieldBits }
    }
  }
  barren.add(at)
  return null
}
