import { describe, expect, it } from 'vitest'
import { assembleBtf, info, t } from '../test/helpers/btf-bytes.ts'
import { btfCorpus, corpusBtf } from '../test/helpers/btf-corpus.ts'
import { type Btf, parseBtf } from './btf.ts'
import { diffTypes } from './diff.ts'
import { encodeBtf } from './encode.ts'
import { formatDiff } from './format-diff.ts'
import { loadBtf } from './load.ts'
import type { BtfType } from './types.ts'

const m = t.member
const int = t.int('int')
const long = t.int('long int', 8)

function btfOf(...types: BtfType[]): Btf {
  return parseBtf(encodeBtf([int, long, ...types]))
}

function textOf(a: Btf, b: Btf, name?: string): string {
  return [...formatDiff(diffTypes(a, b, name))].join('\n')
}

describe('differences', () => {
  it.each<[string, BtfType[], BtfType[], string]>([
    ['none', [t.struct('s', 4, [m('a', 1, 0)])], [t.struct('s', 4, [m('a', 1, 0)])], ''],
    ['a type more', [], [t.struct('s', 4, [m('a', 1, 0)])], '+ struct s, 4 bytes'],
    ['a type less', [t.typedef('t', 1)], [], '- typedef t: int'],
    ['another size', [t.struct('s', 4)], [t.struct('s', 8)], '~ struct s, 4 -> 8 bytes'],
    [
      'a member more, and one moved',
      [t.struct('s', 8, [m('b', 1, 0)])],
      [t.struct('s', 8, [m('a', 1, 0), m('b', 1, 4)])],
      '~ struct s\n\t+ a: int, 4 bytes at 0\n\t~ b: int, 4 bytes at 0 -> 4',
    ],
    [
      'a member less',
      [t.struct('s', 8, [m('a', 1, 0)])],
      [t.struct('s', 8)],
      '~ struct s\n\t- a: int, 4 bytes at 0',
    ],
    [
      'a member of another type',
      [t.struct('s', 8, [m('a', 1, 0)])],
      [t.struct('s', 8, [m('a', 2, 0)])],
      '~ struct s\n\t~ a: int, 4 bytes -> long int, 8 bytes at 0',
    ],
    [
      'a member that became a bitfield',
      [t.struct('s', 8, [m('a', 1, 0)])],
      [t.struct('s', 8, [m('a', 1, 3, 5)])],
      '~ struct s\n\t~ a: int, 4 bytes -> int : 5 at 0 -> 0:3',
    ],
    [
      'a struct that became a union',
      [t.struct('s', 8, [m('a', 1, 0)])],
      [t.union('s', 8, [m('a', 1, 0)])],
      '- struct s, 8 bytes\n+ union s, 8 bytes',
    ],
    ['a typedef of something else', [t.typedef('t', 1)], [t.typedef('t', 2)], '~ typedef t, int -> long int'],
    [
      'values',
      [
        t.enum('e', [
          { name: 'A', value: 1n },
          { name: 'B', value: 2n },
        ]),
      ],
      [
        t.enum('e', [
          { name: 'C', value: 2n },
          { name: 'A', value: -1n },
        ]),
      ],
      '~ enum e\n\t+ C = 2\n\t~ A = 1 -> -1\n\t- B = 2',
    ],
    [
      'an enum of 64 bits, which is an enum all the same',
      [t.enum('e', [{ name: 'A', value: 1n }])],
      [t.enum('e', [{ name: 'A', value: 1n }], 8, 'enum64')],
      '~ enum e, 4 -> 8 bytes',
    ],
    [
      'members inside of what has no name',
      [t.struct('', 8, [m('x', 1, 4)]), t.struct('s', 24, [m('', 3, 8), m('in', 3, 16)])],
      [t.struct('', 8, [m('x', 1, 0)]), t.struct('s', 24, [m('', 3, 8), m('in', 3, 16)])],
      '~ struct s\n\t~ x: int, 4 bytes at 12 -> 8\n\t~ in.x: int, 4 bytes at 20 -> 16',
    ],
    [
      'members inside of an array and of a typedef',
      [
        t.struct('', 4, [m('x', 1, 0)]),
        t.array(3, 2),
        t.struct('s', 8, [m('list', 4, 0)]),
        t.typedef('t', 3),
      ],
      [
        t.struct('', 4, [m('y', 1, 0)]),
        t.array(3, 2),
        t.struct('s', 8, [m('list', 4, 0)]),
        t.typedef('t', 3),
      ],
      '~ struct s\n\t+ list[].y: int, 4 bytes at 0\n\t- list[].x: int, 4 bytes at 0\n' +
        '~ typedef t\n\t+ y: int, 4 bytes at 0\n\t- x: int, 4 bytes at 0',
    ],
    [
      'members of one name',
      [t.struct('s', 8, [m('hide', 1, 0), m('hide', 1, 4)])],
      [t.struct('s', 8, [m('hide', 1, 0), m('hide', 2, 0)])],
      '~ struct s\n\t~ hide#2: int, 4 bytes -> long int, 8 bytes at 4 -> 0',
    ],
    [
      'order and ids',
      [t.struct('s', 8), t.ptr(3), t.typedef('p', 4)],
      [t.ptr(5), t.typedef('p', 3), t.struct('s', 8)],
      '',
    ],
    ['a definition that is there twice, alike', [t.struct('s', 8), t.struct('s', 8)], [t.struct('s', 8)], ''],
    [
      'one of two definitions',
      [t.struct('s', 8), t.struct('s', 4)],
      [t.struct('s', 16), t.struct('s', 8)],
      '~ struct s, 4 -> 16 bytes',
    ],
    ['functions and forward declarations', [t.proto(0), t.func('f', 3), t.fwd('w')], [], ''],
  ])('%s', (_, a, b, text) => {
    expect(textOf(btfOf(...a), btfOf(...b))).toBe(text)
  })

  it('are given as data', () => {
    const a = btfOf(t.struct('s', 4, [m('a', 1, 0)]))
    const b = btfOf(t.struct('s', 16, [m('a', 2, 8)]))
    expect([...diffTypes(a, b)]).toMatchObject([
      {
        change: 'changed',
        kind: 'struct',
        name: 's',
        from: { sizeBytes: 4 },
        to: { sizeBytes: 16 },
        values: [],
        members: [
          {
            path: 'a',
            isMoved: true,
            isRetyped: true,
            from: { type: 'int', offsetBits: 0, sizeBytes: 4, bitfieldBits: 0 },
            to: { type: 'long int', offsetBits: 64, sizeBytes: 8, bitfieldBits: 0 },
          },
        ],
      },
    ])
  })

  it('of one name leave others alone', () => {
    const a = btfOf(t.struct('s', 4), t.struct('other', 4))
    const b = btfOf(t.struct('s', 8), t.struct('other', 8))
    expect(textOf(a, b, 's')).toBe('~ struct s, 4 -> 8 bytes')
    expect(textOf(a, b, 'nothing')).toBe('')
  })

  it('are the reverse the other way round', () => {
    const a = btfOf(t.struct('s', 4), t.struct('gone', 4))
    const b = btfOf(t.struct('s', 8))
    expect(textOf(b, a)).toBe('+ struct gone, 4 bytes\n~ struct s, 8 -> 4 bytes')
  })

  it('of malformed BTF are refused', () => {
    const bad = parseBtf(assembleBtf({ records: [[1, info(4, 1), 4, 1, 9, 0]], strings: ['', 's'] }))
    expect(() => textOf(bad, bad)).toThrow('type id 9: has no record')
  })

  it.skipIf(btfCorpus === null)(
    'of real kernels are few between two builds (skipped without BTFHUB_CORPUS)',
    () => {
      const at = (release: string): Btf =>
        loadBtf(corpusBtf(`centos/7/x86_64/3.10.0-${release}.el7.x86_64.btf.xz`))
      const [first, second, same] = [at('1160.2.1'), at('1160.6.1'), at('1160.2.2')]
      expect(textOf(first, same)).toBe('')
      expect(textOf(first, second)).toBe(
        '~ struct nf_queue_entry, 112 -> 128 bytes\n' +
          '\t+ physin: struct net_device *, 8 bytes at 40\n' +
          '\t+ physout: struct net_device *, 8 bytes at 48\n' +
          '\t~ state: struct nf_hook_state, 64 bytes at 40 -> 56\n' +
          '\t~ size: u16, 2 bytes at 104 -> 120',
      )
    },
  )
})
