import { describe, expect, it } from 'vitest'
import { t } from '../test/helpers/btf-bytes.ts'
import { type Btf, parseBtf } from './btf.ts'
import { encodeBtf } from './encode.ts'
import { findMember, isModifier, memberSpot, sizeOf, skipModifiersAndTypedefs } from './layout.ts'
import type { BtfType } from './types.ts'
import { Kind } from './wire.ts'

const m = t.member
const int = t.int('int')
const btfOf = (...types: BtfType[]): Btf => parseBtf(encodeBtf(types))

/** `count` types of which each wraps the one after it, and an int at the end. */
function chain(count: number, link: (next: number) => BtfType): Btf {
  return btfOf(...Array.from({ length: count }, (_, i) => link(i + 2)), int)
}

describe('sizeOf', () => {
  it.each<[string, BtfType[], number | null]>([
    ['an int', [int], 4],
    ['a pointer', [t.ptr(0)], 8],
    ['an array of arrays', [t.array(2, 3), t.array(3, 4), int], 48],
    ['an empty array', [t.array(2, 0), int], 0],
    ['a typedef of a const struct', [t.typedef('x', 2), t.ref('const', 3), t.struct('s', 24)], 24],
    ['a union', [t.union('u', 8)], 8],
    ['an enum', [t.enum('e', [], 1)], 1],
    ['an enum of 64 bits', [t.enum('e', [], 8, 'enum64')], 8],
    ['a float', [t.float('f', 8)], 8],
    ['a variable', [t.var('v', 2), int], 4],
    ['a section', [t.datasec('d', 64, [])], 64],
    ['a tagged type', [t.tag('rcu', 2), int], 4],
    ['what is only declared', [t.fwd('f')], null],
    ['a function', [t.proto(0)], null],
    ['a typedef of void', [t.typedef('x', 0)], null],
    ['an array of what has no size', [t.array(0, 4)], null],
  ])('of %s', (_, types, size) => {
    expect(sizeOf(btfOf(...types), 1)).toBe(size)
  })

  it('of void is none', () => {
    expect(sizeOf(btfOf(int), 0)).toBeNull()
  })

  it('of a pointer is what the machine has', () => {
    expect(sizeOf(btfOf(t.array(2, 3), t.ptr(0)), 1, 4)).toBe(12)
  })

  it('refuses types that have no end, nest too deep or are too large', () => {
    expect(() => sizeOf(btfOf(t.typedef('x', 1)), 1)).toThrow('type id 1 at byte 24: nested deeper than 64')
    expect(() =>
      sizeOf(
        chain(100, (next) => t.ref('const', next)),
        1,
      ),
    ).toThrow('nested deeper than 64')
    expect(
      sizeOf(
        chain(60, (next) => t.ref('const', next)),
        1,
      ),
    ).toBe(4)
    expect(() =>
      sizeOf(
        chain(60, (next) => t.array(next, 0xffffffff)),
        1,
      ),
    ).toThrow('type id 1 at byte 24: array of more elements than any memory has')
  })

  it('refuses an id that is not there', () => {
    expect(() => sizeOf(btfOf(int), 2)).toThrow('type id 2: has no record')
  })
})

describe('skipModifiersAndTypedefs', () => {
  it('gives what is behind all of them', () => {
    const btf = btfOf(
      t.typedef('a', 2),
      t.ref('const', 3),
      t.tag('rcu', 4),
      t.ref('volatile', 5),
      t.ref('restrict', 6),
      t.ptr(0),
    )
    expect(skipModifiersAndTypedefs(btf, 1)).toBe(6)
    expect(skipModifiersAndTypedefs(btf, 0)).toBe(0)
  })

  it('refuses chains without end', () => {
    expect(() => skipModifiersAndTypedefs(btfOf(t.ref('const', 2), t.typedef('x', 1)), 1)).toThrow(
      'type id 1 at byte 24: endless chain of modifiers',
    )
  })

  it('takes typedefs for something else than modifiers', () => {
    expect([Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG].map(isModifier)).toEqual([
      true,
      true,
      true,
      true,
    ])
    expect([Kind.TYPEDEF, Kind.PTR].map(isModifier)).toEqual([false, false])
  })
})

describe('findMember', () => {
  const btf = btfOf(
    int,
    t.struct('s', 32, [m('first', 1, 0), m('', 3, 8), m('', 5, 16), m('last', 6, 24)]),
    t.union('', 8, [m('left', 1, 0), m('', 4, 0)]),
    t.struct('', 8, [m('low', 1, 0), m('high', 1, 4)]),
    t.typedef('part', 7),
    t.typedef('s_t', 2),
    t.struct('named', 8, [m('inside', 1, 4)]),
    t.struct('bits', 8, [m('a', 1, 3, 5), m('', 9, 32, 0)]),
    t.struct('', 4, [m('b', 1, 7, 9)]),
  )

  it.each([
    ['first', 0],
    ['left', 8],
    ['high', 12],
    ['inside', 20],
    ['last', 24],
  ])('finds %s at byte %i', (name, offset) => {
    expect(findMember(btf, 2, name)).toMatchObject({ offsetBits: offset * 8, bitfieldBits: 0 })
  })

  it('gives the type, and looks through typedefs', () => {
    expect(findMember(btf, 6, 'last')).toEqual({ typeId: 6, offsetBits: 192, bitfieldBits: 0 })
  })

  it('gives the width of bitfields', () => {
    expect(findMember(btf, 8, 'a')).toEqual({ typeId: 1, offsetBits: 3, bitfieldBits: 5 })
    expect(findMember(btf, 8, 'b')).toMatchObject({ bitfieldBits: 9 })
  })

  it.each(['nothing', '', 'fir', 'firstly', 'union'])('gives null for %j', (name) => {
    expect(findMember(btf, 2, name)).toBeNull()
  })

  it('gives null for what has no members', () => {
    expect([0, 1].map((id) => findMember(btf, id, 'first'))).toEqual([null, null])
  })

  it('reads a type that nesting multiplies once', () => {
    // Each struct has the next one twice: 2^60 paths, and none has the member.
    const deep = btfOf(
      ...Array.from({ length: 60 }, (_, i) => t.struct('', 4, [m('', i + 2, 0), m('', i + 2, 0)])),
      t.struct('', 4, []),
    )
    expect(findMember(deep, 1, 'x')).toBeNull()
  })

  it('refuses structs that contain themselves', () => {
    expect(() => findMember(btfOf(t.struct('', 4, [m('', 1, 0), m('x', 1, 0)])), 1, 'x')).toThrow(
      'nested deeper than 64',
    )
  })
})

describe('memberSpot', () => {
  it('takes the width of old bitfields from their INT', () => {
    const old = {
      ...t.struct('s', 8, [m('a', 2, 0), { ...m('b', 3, 0), offsetBits: 20 }, m('c', 1, 4)]),
      hasBitfieldSizes: false,
    }
    const btf = btfOf(int, { ...int, bits: 7 }, t.typedef('t', 5), old, { ...int, bits: 3, offsetBits: 2 })
    expect([0, 1, 2].map((i) => memberSpot(btf, 4, i))).toMatchObject([
      { offsetBits: 0, bitfieldBits: 7 },
      { offsetBits: 22, bitfieldBits: 3 },
      { offsetBits: 32, bitfieldBits: 0 },
    ])
  })
})
