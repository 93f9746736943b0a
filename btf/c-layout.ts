/**
 * How C lays out a struct, so that a printed one gets the attributes and the padding that put every member where BTF
 * says. The rules are those of clang for BPF: System V alignment, bitfields as in the Itanium C++ ABI 2.4 (II.1), which
 * gcc shares for C.
 */
import { limits } from '../core/limits.ts'
import type { Btf } from './btf.ts'
import { builtinTypeText } from './c-scalars.ts'
import { malformedType } from './errors.ts'
import { memberSpot, type MemberSpot, sizeOf, skipModifiersAndTypedefs } from './layout.ts'
import { Kind, kindName } from './wire.ts'

/** How to write a struct or union. */
export interface Placement {
  readonly packed: boolean
  /** For `__attribute__((aligned(n)))`; 0 for none. */
  readonly alignedBytes: number
  /** Alignment of the result. */
  readonly alignBytes: number
  /** Where padding goes: in front of a member, or at the end of the list. */
  readonly gaps: readonly Gap[]
}

export interface Gap {
  /** A union has no next bit to fill: only a member makes it larger. */
  readonly asArray?: true
  readonly beforeMember: number
  readonly fromBits: number
  readonly toBits: number
}

/** One line of padding: an unnamed bitfield, or an array where it would take too many of them. */
export type Padding =
  { readonly unitBits: 8 | 16 | 32 | 64; readonly bits: number } | { readonly arrayBytes: number }

/** Gaps of more bits than this become an array, which is a member that the original does not have. */
const MAX_BITFIELD_PADDING_BITS = 64 * 8

/** Finds out, for the types of one BTF, how C has to be told of their layout. */
export class CLayout {
  readonly #btf: Btf
  /** Of the machine that the BTF is about. */
  readonly pointerBytes: number
  readonly #alignBytes = new Map<number, number>()

  constructor(btf: Btf) {
    this.#btf = btf
    this.pointerBytes = pointerBytesOf(btf)
  }

  sizeOf(id: number): number {
    const size = sizeOf(this.#btf, id, this.pointerBytes)
    if (size !== null) return size
    throw malformedType(id, this.#btf.byteOffset(id), `${kindName(this.#btf.kind(id))} has no size`)
  }

  /** Alignment of a type as it will be printed. Throws BtfError `MALFORMED` where it has none. */
  alignOf(id: number, depth = 0): number {
    const btf = this.#btf
    let at = skipModifiersAndTypedefs(btf, id)
    for (let steps = 0; btf.kind(at) === Kind.ARRAY; steps++) {
      if (steps > limits.btf.maxDepth) throw malformedType(id, btf.byteOffset(id), 'endless array of arrays')
      at = skipModifiersAndTypedefs(btf, btf.word(at, 3))
    }
    switch (btf.kind(at)) {
      case Kind.PTR:
        return this.pointerBytes
      case Kind.STRUCT:
      case Kind.UNION: {
        const known = this.#alignBytes.get(at)
        if (known !== undefined) return known
        const { alignBytes } = this.placement(at, depth + 1)
        this.#alignBytes.set(at, alignBytes)
        return alignBytes
      }
      case Kind.INT:
      case Kind.FLOAT:
      case Kind.ENUM:
      case Kind.ENUM64: {
        const size = btf.sizeOrType(at)
        return builtinTypeText(size) === null ? 1 : size
      }
      default:
        throw malformedType(at, btf.byteOffset(at), `${kindName(btf.kind(at))} has no alignment`)
    }
  }

  /**
   * How to write a struct or union: as plainly as C lets it. Throws BtfError `MALFORMED` where members overlap or have
   * no size, and where types nest too deep.
   */
  placement(id: number, depth = 0): Placement {
    const btf = this.#btf
    if (depth > limits.btf.maxDepth) {
      throw malformedType(id, btf.byteOffset(id), `nested deeper than ${limits.btf.maxDepth}`)
    }
    let natural = 1
    for (const { typeId } of membersOf(btf, id)) natural = Math.max(natural, this.alignOf(typeId, depth))
    const place = btf.kind(id) === Kind.UNION ? this.#placeUnion : this.#placeStruct
    const placed = place.call(this, id, natural, false) ?? place.call(this, id, 1, true)
    if (placed === null) throw malformedType(id, btf.byteOffset(id), 'members overlap')
    return placed
  }

  #placeStruct(id: number, alignBytes: number, packed: boolean): Placement | null {
    const btf = this.#btf
    const sizeBits = btf.sizeOrType(id) * 8
    const gaps: Gap[] = []
    let at = 0
    const moveTo = (offset: number, beforeMember: number): void => {
      if (offset > at) gaps.push({ beforeMember, fromBits: at, toBits: offset })
      at = offset
    }
    for (const [i, { typeId, offsetBits, bitfieldBits }] of membersOf(btf, id).entries()) {
      const unitBits = this.sizeOf(typeId) * 8
      const alignBits = packed ? 8 : this.alignOf(typeId) * 8
      const spot = (from: number): number => {
        if (bitfieldBits === 0) return alignUp(from, alignBits)
        const crosses = (from % alignBits) + bitfieldBits > unitBits
        return crosses && !packed ? alignUp(from, alignBits) : from
      }
      if (spot(at) !== offsetBits) {
        if (offsetBits < at || spot(offsetBits) !== offsetBits) return null
        moveTo(offsetBits, i)
      }
      at = offsetBits + (bitfieldBits === 0 ? unitBits : bitfieldBits)
    }
    if (at > sizeBits || sizeBits % (alignBytes * 8) !== 0) return null
    if (alignUp(alignUp(at, 8), alignBytes * 8) !== sizeBits) moveTo(sizeBits, btf.vlen(id))
    return { packed, alignedBytes: 0, alignBytes, gaps }
  }

  #placeUnion(id: number, alignBytes: number, packed: boolean): Placement | null {
    const btf = this.#btf
    const sizeBytes = btf.sizeOrType(id)
    let largest = 0
    for (const { typeId, offsetBits, bitfieldBits } of membersOf(btf, id)) {
      if (offsetBits !== 0) return null
      largest = Math.max(largest, bitfieldBits === 0 ? this.sizeOf(typeId) : Math.ceil(bitfieldBits / 8))
    }
    if (largest > sizeBytes || sizeBytes % alignBytes !== 0) return null
    if (alignUp(largest, alignBytes) === sizeBytes) return { packed, alignedBytes: 0, alignBytes, gaps: [] }
    // A union ends where its largest member does, rounded up: the size tells the least alignment that does it.
    for (let align = alignBytes * 2; align <= sizeBytes; align *= 2) {
      if (alignUp(largest, align) === sizeBytes) {
        return { packed, alignedBytes: align, alignBytes: align, gaps: [] }
      }
    }
    const gaps = [{ beforeMember: btf.vlen(id), fromBits: 0, toBits: sizeBytes * 8, asArray: true } as const]
    return { packed, alignedBytes: 0, alignBytes, gaps }
  }
}

/**
 * Members as C has to list them: by offset. C compilers write them so; bpftool's first min BTFs have them as they were
 * found, and Rust lays structs out as it likes.
 */
export function membersOf(btf: Btf, id: number): MemberSpot[] {
  const members: MemberSpot[] = []
  for (let i = 0; i < btf.vlen(id); i++) members.push(memberSpot(btf, id, i))
  return members.sort((a, b) => a.offsetBits - b.offsetBits)
}

/** What members leave free, whether C would or not; the last may be behind all of them. Unions have no holes. */
export function holesOf(btf: Btf, id: number, sizeOfType: (id: number) => number): Gap[] {
  const holes: Gap[] = []
  if (btf.kind(id) === Kind.UNION) return holes
  let at = 0
  for (const [i, { typeId, offsetBits, bitfieldBits }] of membersOf(btf, id).entries()) {
    if (offsetBits > at) holes.push({ beforeMember: i, fromBits: at, toBits: offsetBits })
    at = Math.max(at, offsetBits + (bitfieldBits === 0 ? sizeOfType(typeId) * 8 : bitfieldBits))
  }
  const end = btf.sizeOrType(id) * 8
  if (end > at) holes.push({ beforeMember: btf.vlen(id), fromBits: at, toBits: end })
  return holes
}

/** The lines that fill a gap in a struct of some alignment without changing that. */
export function* paddingOf(gap: Gap, placement: Placement): Generator<Padding> {
  const { fromBits, toBits } = gap
  const unit = placement.packed ? 64 : (Math.min(placement.alignBytes * 8, 64) as 8 | 16 | 32 | 64)
  const bytesFrom = alignUp(fromBits, 8)
  const bytesTo = toBits - (toBits % 8)
  const asArray = gap.asArray ?? bytesTo - bytesFrom > MAX_BITFIELD_PADDING_BITS
  const bitfields = function* (from: number, to: number): Generator<Padding> {
    for (let at = from; at < to;) {
      const bits = Math.min(placement.packed ? unit : unit - (at % unit), to - at)
      yield { unitBits: unit, bits }
      at += bits
    }
  }
  if (!asArray) return yield* bitfields(fromBits, toBits)
  yield* bitfields(fromBits, bytesFrom)
  yield { arrayBytes: (bytesTo - bytesFrom) / 8 }
  yield* bitfields(bytesTo, toBits)
}

/** 4 where the kernel's `long` has 4 bytes, else 8: BTF does not say what a pointer takes. */
function pointerBytesOf(btf: Btf): number {
  for (const name of ['long int', 'long unsigned int', 'long', 'unsigned long']) {
    for (const id of btf.idsByName(name)) {
      if (btf.kind(id) === Kind.INT && btf.sizeOrType(id) === 4) return 4
    }
  }
  return 8
}

function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to
}
