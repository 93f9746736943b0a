import { describe, expect, it } from 'vitest'
import { type Btf, type BtfType, diffTypes, encodeBtf, parseBtf } from '../../btf/index.ts'
import { t } from './btf-bytes.ts'
import { countCompared, reasonFor } from './dwarf-differences.ts'

const m = t.member
const int = t.int('int')
const enumOf = (value: bigint, sizeBytes = 4): BtfType =>
  t.enum('e', [{ name: 'A', value }], sizeBytes, 'enum64')

function btfOf(...types: BtfType[]): Btf {
  return parseBtf(encodeBtf([int, ...types]))
}

describe('the reason for a difference', () => {
  it.each<[string, BtfType[], BtfType[], string | null]>([
    ['a constant that has a sign now', [enumOf(0xffffffffn)], [enumOf(-1n)], 'sign'],
    ['one that is whole now', [enumOf(0n, 8)], [enumOf(1n << 63n, 8)], 'width'],
    ['another constant', [enumOf(1n)], [enumOf(2n)], null],
    ['a constant less', [enumOf(1n)], [t.enum('e', [])], null],
    ['another size', [enumOf(1n)], [enumOf(1n, 8)], null],
    ['an enum less', [enumOf(1n)], [], null],
    ['a member that moved', [t.struct('s', 8, [m('a', 1, 0)])], [t.struct('s', 8, [m('a', 1, 4)])], null],
    ['another struct', [], [t.struct('s', 8)], null],
    ['another typedef', [t.typedef('t', 1)], [t.typedef('t', 0)], null],
  ])('%s', (_, embedded, encoded, reason) => {
    const changes = [...diffTypes(btfOf(...embedded), btfOf(...encoded))]
    expect(changes.map(reasonFor)).toEqual([reason])
  })
})

it('what is compared is counted by what has a name', () => {
  const btf = btfOf(
    t.struct('s', 8, [m('a', 1, 0), m('b', 1, 4)]),
    t.struct('', 4, [m('c', 1, 0)]),
    t.union('u', 4, [m('d', 1, 0)]),
    t.enum('', [{ name: 'A', value: 1n }]),
    enumOf(1n),
    t.typedef('t', 1),
  )
  expect(countCompared(btf)).toEqual({ structs: 2, members: 3, enums: 1, typedefs: 1 })
})
