import { describe, expect, it } from 'vitest'
import { assembleBtf, EVERY_KIND, info, t } from '../test/helpers/btf-bytes.ts'
import { parseBtf } from './btf.ts'
import { encodeBtf } from './encode.ts'
import type { BtfType } from './types.ts'
import { validateBtf } from './validate.ts'

const int = t.int('int')
const m = t.member

function check(...types: BtfType[]): void {
  validateBtf(parseBtf(encodeBtf(types)))
}

describe.each(['little', 'big'] as const)('validation of %s-endian BTF', (endian) => {
  it('takes every kind', () => {
    validateBtf(parseBtf(encodeBtf(EVERY_KIND, endian)))
  })

  it('names the id and the byte of what is wrong', () => {
    const types = [int, t.struct('s', 4, [m('a', 1, 0)]), t.struct('t', 4, [m('a', 9, 0)])]
    expect(() => validateBtf(parseBtf(encodeBtf(types, endian)))).toThrow(
      expect.objectContaining({
        code: 'MALFORMED',
        message: 'type id 3 at byte 64: struct member 0 is of type 9, the last is 3',
      }),
    )
  })
})

describe('validation takes', () => {
  it.each([
    ['a list that points to itself', [t.ptr(2), t.struct('list', 8, [m('next', 1, 0)])]],
    ['nameless ints, which the first pahole wrote', [t.int('')]],
    ['names that are no C', [t.struct('core::option<u8>', 0), t.int('u8', 1, 0)]],
    [
      'a function that takes a pointer to a struct of functions',
      [t.ptr(2), t.proto(0, [{ name: '', typeId: 3 }]), t.ptr(4), t.struct('ops', 8, [m('f', 1, 0)])],
    ],
    [
      'old bitfields, whose INT has their width',
      [
        { ...int, bits: 4, offsetBits: 2 },
        { ...t.struct('s', 4, [{ ...m('a', 1, 0), offsetBits: 26 }]), hasBitfieldSizes: false },
      ],
    ],
    ['flexible arrays', [int, t.array(1, 0), t.struct('s', 4, [m('n', 1, 0), m('data', 2, 4)])]],
    ['enums without values', [t.enum('later', [])]],
    [
      'a variable number of parameters',
      [
        int,
        t.proto(0, [
          { name: 'a', typeId: 1 },
          { name: '', typeId: 0 },
        ]),
      ],
    ],
  ] as [string, BtfType[]][])('%s', (_, types) => {
    check(...types)
  })
})

describe('validation refuses', () => {
  const struct = t.struct('s', 4, [m('a', 1, 0)])
  it.each([
    ['an int of no bits', [{ ...int, bits: 0 }], 'int of 0 bits at bit 0 in 4 bytes'],
    ['an int of more bits than it has', [{ ...int, offsetBits: 1 }], 'int of 32 bits at bit 1 in 4 bytes'],
    ['an int without size', [{ ...int, sizeBytes: 0 }], 'int of 0 bytes, expected 1 to 16'],
    ['an int that is too large', [{ ...int, sizeBytes: 17 }], 'int of 17 bytes, expected 1 to 16'],
    ['a pointer to nothing', [t.ptr(2)], 'ptr points to type 2, the last is 1'],
    [
      'a pointer to a function',
      [int, t.proto(0), t.func('f', 2), t.ptr(3)],
      'ptr points to type 3, which is a func',
    ],
    ['a typedef without a name', [int, t.typedef('', 1)], 'typedef has no name'],
    ['a tag without a name', [int, t.tag('', 1)], 'type_tag has no name'],
    ['a forward declaration without a name', [t.fwd('')], 'fwd has no name'],
    ['an array of void', [int, t.array(0, 3)], 'array has elements of type 0, which is a void'],
    ['an array indexed by nothing', [int, t.array(1, 3, 7)], 'array is indexed by type 7, the last is 2'],
    [
      'a member of void',
      [int, t.struct('s', 4, [m('a', 0, 0)])],
      'struct member 0 is of type 0, which is a void',
    ],
    [
      'a member that is a function',
      [int, t.proto(0), t.struct('s', 4, [m('a', 2, 0)])],
      'member 0 is of type 2, which is a func_proto',
    ],
    [
      'a member that is only declared',
      [t.fwd('f'), t.struct('s', 4, [m('a', 1, 0)])],
      'struct member 0 has no size',
    ],
    [
      'a member behind the end',
      [int, t.struct('s', 4, [m('a', 1, 4)])],
      'struct member 0 ends at bit 64, the type at bit 32',
    ],
    [
      'a bitfield behind the end',
      [int, t.struct('s', 4, [m('a', 1, 30, 3)])],
      'struct member 0 ends at bit 33, the type at bit 32',
    ],
    [
      'a bitfield wider than its type',
      [t.int('char', 1), t.struct('s', 4, [m('a', 1, 0, 9)])],
      'struct member 0 has 9 bits, its type 8',
    ],
    [
      'a member of a union that is not at its start',
      [int, t.union('u', 8, [m('a', 1, 4)])],
      'union member 0 is at bit 32, expected 0',
    ],
    ['an enum of 3 bytes', [t.enum('e', [], 3)], 'enum of 3 bytes, expected 1, 2, 4 or 8'],
    ['a value without a name', [t.enum('e', [{ name: '', value: 1n }])], 'enum value 0 has no name'],
    ['a function of no prototype', [int, t.func('f', 1)], 'func is of type 1, which is a int'],
    ['a function of unknown linkage', [t.proto(0), t.func('f', 1, 3)], 'func linkage 3, expected 0 to 2'],
    ['a function without a name', [t.proto(0), t.func('', 1)], 'func has no name'],
    [
      'a void parameter before the last',
      [
        int,
        t.proto(0, [
          { name: '', typeId: 0 },
          { name: 'a', typeId: 1 },
        ]),
      ],
      'func_proto parameter 0 of 2 is void',
    ],
    [
      'a parameter of nothing',
      [t.proto(0, [{ name: '', typeId: 8 }])],
      'func_proto parameter 0 is of type 8',
    ],
    ['a prototype that returns nothing that is', [t.proto(8)], 'func_proto returns type 8, the last is 1'],
    ['a variable of void', [t.var('v', 0)], 'var is of type 0, which is a void'],
    ['a variable of unknown linkage', [int, t.var('v', 1, 3)], 'var linkage 3, expected 0 to 2'],
    [
      'a section of something else',
      [int, t.datasec('d', 4, [{ typeId: 1, offset: 0, sizeBytes: 4 }])],
      'datasec variable 0 is type 1, which is a int',
    ],
    ['a float of 3 bytes', [t.float('f', 3)], 'float of 3 bytes'],
    ['a tag of nothing that has tags', [int, t.declTag('d', 1)], 'decl_tag is about type 1, which is a int'],
    [
      'a tag of a member that is not there',
      [int, struct, t.declTag('d', 2, 1)],
      'decl_tag component index 1: type 2 has no such member or parameter',
    ],
    [
      'a tag of a parameter that is not there',
      [t.proto(0), t.func('f', 1), t.declTag('d', 2, 0)],
      'decl_tag component index 0: type 2 has no such',
    ],
    ['a tag of less than the whole', [int, struct, t.declTag('d', 2, -2)], 'decl_tag component index -2'],
  ] as [string, BtfType[], string][])('%s', (_, types, message) => {
    const offending = types.length
    expect(() => check(...types)).toThrow(new RegExp(`^type id ${offending} at byte \\d+: `))
    expect(() => check(...types)).toThrow(message)
  })

  it.each([
    ['elements of a kind that has none', [[1, info(1, 3), 4, 32]], 'int has vlen 3, expected 0'],
    [
      'a flag of a kind that has none',
      [[0, info(2, 0, true), 0]],
      'ptr has kind_flag, which means nothing there',
    ],
    ['a name of a kind that has none', [[1, info(2), 0]], 'ptr has a name, expected none'],
    ['a size of a kind that has none', [[1, info(7), 8]], 'fwd has 8 as size or type, expected 0'],
    ['unknown bits of an int', [[1, info(1), 4, 0xf000_0020]], 'int has unknown bits in 0xf0000020'],
    ['a name behind the strings', [[3, info(7), 0]], 'fwd name at 3, the strings end at 3'],
    [
      'a name of a member behind the strings',
      [
        [1, info(1), 4, 32],
        [0, info(4, 1), 4, 9, 1, 0],
      ],
      'struct name at 9, the strings end at 3',
    ],
    ['a name of a value behind the strings', [[0, info(6, 1), 4, 9, 1]], 'enum name at 9'],
    [
      'a name of a parameter behind the strings',
      [
        [1, info(1), 4, 32],
        [0, info(13, 1), 0, 9, 1],
      ],
      'func_proto name at 9',
    ],
  ] as [string, number[][], string][])('%s', (_, records, message) => {
    expect(() => validateBtf(parseBtf(assembleBtf({ records, strings: ['', 'x'] })))).toThrow(message)
  })

  it('a name that would break a line, while another string may', () => {
    const strings = ['', 'int', '\treturn 0;', 'a\nb']
    const record = (...names: number[]): number[][] => names.map((name) => [name, info(1), 4, 32])
    validateBtf(parseBtf(assembleBtf({ records: record(1, 1), strings })))
    expect(() => validateBtf(parseBtf(assembleBtf({ records: record(1, 16), strings })))).toThrow(
      'type id 2 at byte 40: name "a\\nb" has control characters',
    )
    const member = t.struct('s', 4, [m('m\x7f', 1, 0)])
    expect(() => check(int, member)).toThrow('type id 2 at byte 40: name "m\x7f" has control characters')
  })

  it('a name longer than any, while another string may be', () => {
    const strings = ['', 'int', 'n'.repeat(5000)]
    const withName = (name: number): Uint8Array => assembleBtf({ records: [[name, info(1), 4, 32]], strings })
    validateBtf(parseBtf(withName(1)))
    expect(() => validateBtf(parseBtf(withName(5)))).toThrow(
      'type id 1 at byte 24: string offset 5: 5000 bytes to the next NUL',
    )
  })

  it.each([
    ['a struct inside itself', [int, t.struct('s', 4, [m('a', 2, 0)])], 'struct contains itself'],
    [
      'two structs inside each other',
      [t.struct('a', 4, [m('b', 2, 0)]), t.struct('b', 4, [m('a', 1, 0)])],
      'contains itself',
    ],
    [
      'a struct inside an array inside itself',
      [int, t.struct('s', 4, [m('a', 3, 0)]), t.array(2, 1)],
      'contains itself',
    ],
    [
      'a struct inside itself by another name',
      [int, t.struct('s', 4, [m('a', 3, 0)]), t.typedef('t', 4), t.ref('const', 2)],
      'contains itself',
    ],
    ['a typedef of itself', [t.typedef('t', 1)], 'typedef contains itself'],
    ['modifiers of each other', [t.ref('const', 2), t.ref('volatile', 1)], 'contains itself'],
    ['tags of each other', [t.tag('a', 2), t.tag('b', 1)], 'contains itself'],
    ['an array of itself', [int, t.array(2, 1)], 'array contains itself'],
    ['a pointer to itself', [t.ptr(1)], 'ptr is declared by itself'],
    ['a pointer to a pointer to it', [t.ptr(2), t.ref('const', 3), t.ptr(1)], 'is declared by itself'],
    ['a typedef of a pointer to it', [t.typedef('t', 2), t.ptr(1)], 'is declared by itself'],
    [
      'a function that takes a pointer to itself',
      [t.proto(0, [{ name: '', typeId: 2 }]), t.ptr(1)],
      'is declared by itself',
    ],
    ['a function that returns a pointer to itself', [t.proto(2), t.ptr(1)], 'is declared by itself'],
  ] as [string, BtfType[], string][])('%s', (_, types, message) => {
    expect(() => check(...types)).toThrow(message)
  })
})
