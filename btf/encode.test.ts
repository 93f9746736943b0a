import { describe, expect, it } from 'vitest'
import { assembleBtf, EVERY_KIND, info, numbered, t } from '../test/helpers/btf-bytes.ts'
import { parseBtf } from './btf.ts'
import { BtfWriter, encodeBtf } from './encode.ts'
import type { BtfType } from './types.ts'

describe.each(['little', 'big'] as const)('a %s-endian BTF', (endian) => {
  it('is written word by word as the format has it', () => {
    const types = [
      t.int('int'),
      t.struct('s', 8, [t.member('a', 1, 0), t.member('b', 1, 4)]),
      t.struct('f', 4, [t.member('a', 1, 5, 3)]),
      t.enum('e', [{ name: 'A', value: -2n }]),
    ]
    const expected = assembleBtf({
      endian,
      strings: ['', 'int', 's', 'a', 'b', 'f', 'e', 'A'],
      records: [
        [1, info(1), 4, (1 << 24) | 32],
        [5, info(4, 2), 8, 7, 1, 0, 9, 1, 32],
        [11, info(4, 1, true), 4, 7, 1, (3 << 24) | 5],
        [13, info(6, 1, true), 4, 15, -2],
      ],
    })
    expect(Buffer.from(encodeBtf(types, endian)).equals(expected)).toBe(true)
  })

  it('of what was read is the same again', () => {
    const bytes = encodeBtf(EVERY_KIND, endian)
    const btf = parseBtf(bytes)
    const again = encodeBtf(
      EVERY_KIND.map((type) => btf.type(type.id)),
      endian,
    )
    expect(Buffer.from(again).equals(bytes)).toBe(true)
  })
})

it('more than 65535 elements are counted with the wide vlen', () => {
  const values = Array.from({ length: 70_000 }, (_, i) => ({ name: `V${i}`, value: BigInt(i) }))
  const [type] = numbered([t.enum('wide', values)])
  expect(parseBtf(encodeBtf([type as BtfType])).type(1)).toEqual(type)
})

it('a writer gives ids in order and keeps each name once', () => {
  const writer = new BtfWriter()
  expect(writer.nextId).toBe(1)
  const name = writer.string('same')
  expect([writer.add(name, info(1), 4, [32]), writer.add(writer.string('same'), info(1), 4, [32])]).toEqual([
    1, 2,
  ])
  const bytes = writer.finish('little')
  expect(Buffer.from(bytes).indexOf('same')).toBe(Buffer.from(bytes).lastIndexOf('same'))
  expect(parseBtf(bytes).idsByName('same')).toEqual([1, 2])
})

describe('what does not fit its field is refused', () => {
  const member = t.member('m', 1, 0)
  it.each([
    ['void', { kind: 'void', id: 0, name: '' }, 'void is id 0 of every BTF'],
    ['a type id', t.ptr(-1), 'ptr (anonymous): type id -1, expected 0 to 4294967295'],
    ['a type id that is none', t.ptr(1.5), 'type id 1.5'],
    ['a size', t.struct('big', 2 ** 32), 'struct big: size or type id 4294967296'],
    ['an array length', t.array(1, 2 ** 32), 'length 4294967296'],
    ['int bits', { ...t.int('i'), bits: 256 }, 'int i: bits 256, expected 0 to 255'],
    ['an int encoding', t.int('i', 4, 16), 'encoding 16, expected 0 to 15'],
    ['an int offset', { ...t.int('i'), offsetBits: -1 }, 'bit offset -1'],
    [
      'a bitfield where members have none',
      { ...t.struct('s', 4, [{ ...member, bitfieldBits: 3 }]), hasBitfieldSizes: false },
      'struct s: bits of member m 3, expected 0 to 0',
    ],
    [
      'an offset beside bitfields',
      { ...t.struct('s', 4, [{ ...member, offsetBits: 2 ** 24 }]), hasBitfieldSizes: true },
      'bit offset of member m 16777216, expected 0 to 16777215',
    ],
    [
      'an unsigned value',
      { ...t.enum('e', [{ name: 'A', value: -1n }]), isSigned: false },
      'enum e: value A -1, expected 0 to 4294967295',
    ],
    [
      'a signed value',
      { ...t.enum('e', [{ name: 'A', value: 2n ** 31n }]), isSigned: true },
      'value A 2147483648, expected -2147483648 to 2147483647',
    ],
    [
      'a 64-bit value',
      t.enum('e', [{ name: 'A', value: 2n ** 64n }], 8, 'enum64'),
      'enum64 e: value A 18446744073709551616 has no 64 bits',
    ],
    ['a linkage', t.func('f', 1, 2 ** 24), 'vlen 16777216'],
    ['a component index', t.declTag('d', 1, 2 ** 31), 'component index 2147483648'],
    ['a NUL in a name', t.int('a\0b'), 'name "a\\u0000b": expected 2048 bytes or fewer, none of them NUL'],
    ['a name that is no bytes', t.int('ŝ'), 'name "ŝ"'],
    ['a name longer than any', t.int('n'.repeat(2049)), 'expected 2048 bytes or fewer'],
    [
      'a kind that only a layout section knows',
      {
        kind: 'unknown',
        id: 1,
        name: 'x',
        kindNumber: 20,
        kindFlag: false,
        vlen: 0,
        sizeOrType: 0,
        words: [],
      },
      'kind 20 x: cannot be written without a layout section',
    ],
  ] as [string, BtfType, string][])('%s', (_, type, message) => {
    expect(() => encodeBtf([type])).toThrow(message)
  })
})
