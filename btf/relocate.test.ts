import { describe, expect, it } from 'vitest'
import {
  type Btf,
  type BtfType,
  checkOnBase,
  encodeBtf,
  Kind,
  layoutDigest,
  parseBtf,
  relocateSplit,
  validateBtf,
} from './index.ts'
import { frameBtf } from './encode.ts'
import { makeInfo } from './wire.ts'

const int = (id: number, name = 'int', encoding = 1): BtfType => ({
  id,
  kind: 'int',
  name,
  sizeBytes: 4,
  bits: 32,
  offsetBits: 0,
  encoding,
})
const struct = (id: number, name: string, sizeBytes: number, ...typeIds: number[]): BtfType => ({
  id,
  kind: 'struct',
  name,
  sizeBytes,
  hasBitfieldSizes: false,
  members: typeIds.map((typeId, i) => ({ name: `m${i}`, typeId, offsetBits: i * 32, bitfieldBits: 0 })),
})
const enumOf = (id: number, kind: 'enum' | 'enum64', sizeBytes: number, ...names: string[]): BtfType => ({
  id,
  kind,
  name: 'state',
  sizeBytes,
  isSigned: false,
  values: names.map((name, i) => ({ name, value: BigInt(i) })),
})

/** A kernel whose types lie elsewhere than in the distilled base. */
const kernel: readonly BtfType[] = [
  { id: 1, kind: 'ptr', name: '', typeId: 3 },
  int(2, 'unsigned int', 0),
  struct(3, 'list', 8, 4, 4),
  int(4),
  { id: 5, kind: 'float', name: 'double', sizeBytes: 8 },
  enumOf(6, 'enum64', 8, 'A', 'B'),
  { id: 7, kind: 'union', name: 'value', sizeBytes: 4, hasBitfieldSizes: false, members: [] },
]
const distilled: readonly BtfType[] = [
  int(1),
  struct(2, 'list', 8),
  { id: 3, kind: 'float', name: 'double', sizeBytes: 8 },
  enumOf(4, 'enum', 8),
  { id: 5, kind: 'fwd', name: 'value', isUnion: true },
]

/** `struct own { int; struct list[1]; } ` and pointers to the rest, on a distilled base. */
function moduleOn(base: Btf): Btf {
  const own = 'own\0a\0b\0'
  const at = base.strings.end
  const first = base.idCount
  const words = [
    ...[at, makeInfo(Kind.STRUCT, 2, false), 12, at + 4, 1, 0, at + 6, first + 1, 32],
    ...[0, makeInfo(Kind.ARRAY, 0, false), 0, 2, 1, 1],
    ...[3, 4, 5].flatMap((id) => [0, makeInfo(Kind.PTR, 0, false), id]),
  ]
  return parseBtf(frameBtf(Uint32Array.from(words), Buffer.from(own), 'little'), { base })
}
const split = moduleOn(parseBtf(encodeBtf(distilled)))

describe('relocateSplit', () => {
  it('finds each distilled type in the kernel, and leaves the module’s own as they were', () => {
    const base = parseBtf(encodeBtf(kernel))
    const moved = parseBtf(relocateSplit(split, base), { base })
    validateBtf(moved)
    checkOnBase(moved)
    const first = base.idCount
    expect(moved.type(first)).toEqual({
      ...struct(first, 'own', 12),
      members: [
        { name: 'a', typeId: 4, offsetBits: 0, bitfieldBits: 0 },
        { name: 'b', typeId: first + 1, offsetBits: 32, bitfieldBits: 0 },
      ],
    })
    expect(moved.type(first + 1)).toMatchObject({ kind: 'array', typeId: 3, indexTypeId: 4, length: 1 })
    expect([2, 3, 4].map((i) => moved.sizeOrType(first + i))).toEqual([5, 6, 7])
    expect(relocateSplit(split, base)).toEqual(moved.bytes)
  })

  it('lays out as the module does that was made on the kernel itself', () => {
    const base = parseBtf(encodeBtf(distilled))
    expect(layoutDigest(parseBtf(relocateSplit(split, base), { base }))).toBe(layoutDigest(split))
  })

  const changed = (id: number, to: BtfType): Btf =>
    parseBtf(encodeBtf(kernel.map((t) => (t.id === id ? to : t))))
  it.each<[string, Btf, RegExp]>([
    ['lacks a type', changed(4, int(4, 'integer')), /no int int, 4 bytes: the module is of another kernel/],
    ['has an int of another sign', changed(4, int(4, 'int', 0)), /no int int/],
    [
      'has an embedded struct of another size',
      changed(3, struct(3, 'list', 16, 4, 4)),
      /no struct list, 8 bytes/,
    ],
    ['has an enum of another size', changed(6, enumOf(6, 'enum', 4, 'A')), /no enum state, 8 bytes/],
    ['has a struct for a union', changed(7, struct(7, 'value', 4)), /no fwd value/],
    ['has a type twice', changed(2, struct(2, 'list', 8)), /types 2, 3 of the base all fit/],
  ])('refuses a kernel that %s', (_, base, message) => {
    expect(() => relocateSplit(split, base)).toThrow(message)
  })

  it('takes a struct of another size where the module only points to it', () => {
    const pointing = parseBtf(
      frameBtf(Uint32Array.of(0, makeInfo(Kind.PTR, 0, false), 2), new Uint8Array(0), 'little'),
      { base: parseBtf(encodeBtf(distilled)) },
    )
    const base = parseBtf(
      encodeBtf([struct(1, 'list', 64), ...kernel.slice(3).map((t) => ({ ...t, id: t.id - 2 }))]),
    )
    expect(() => relocateSplit(pointing, base)).not.toThrow(/list/)
  })

  it('refuses BTF that has no base', () => {
    const whole = parseBtf(encodeBtf(kernel))
    expect(() => relocateSplit(whole, whole)).toThrow(/not split/)
  })
})
