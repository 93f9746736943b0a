import { describe, expect, it } from 'vitest'
import { type BtfType, parseBtf, validateBtf } from '../btf/index.ts'
import { assembleBtf, info, t } from '../test/helpers/btf-bytes.ts'
import { namesIn, say } from '../test/helpers/core-case.ts'
import { btfOf, objectOf } from '../test/helpers/hand-object.ts'
import {
  KernelView,
  minimize,
  type Minimized,
  minimizeFor,
  prepareTool,
  ReloKind,
  selfCheck,
} from './index.ts'

const { FIELD_BYTE_OFFSET: OFFSET, FIELD_EXISTS: EXISTS, FIELD_BYTE_SIZE: SIZE } = ReloKind
const LONG = t.int('long int', 8)
const INT = t.int('int')

/** `struct s { int b; }` as an object has it: int is 1, the struct 2. */
const ASKS_B = [INT, t.struct('s', 4, [t.member('b', 1, 0)])]

const said = (minimized: Minimized): string[] => (minimized.resolutions[0] ?? []).map(say)
const names = (minimized: Minimized): string[] => {
  const btf = parseBtf(minimized.bytes)
  validateBtf(btf)
  return namesIn(btf)
}

describe('types of one name', () => {
  const twice = (secondOffset: number, ...more: BtfType[]): BtfType[] => [
    INT,
    t.struct('s', 8, [t.member('a', 1, 0), t.member('b', 1, 4)]),
    t.struct('s', 16, [t.member('b', 1, secondOffset), t.member('c', 1, 8)]),
    ...more,
  ]

  it('that agree are all kept, and each with what is asked for', () => {
    const result = minimize(btfOf(twice(4)), [objectOf(ASKS_B, [[OFFSET, 2, '0:0']])])
    expect(said(result)).toEqual(['byte_off = 4'])
    expect(result.resolutions[0]?.[0]?.matches.map((m) => m.rootId)).toEqual([2, 3])
    expect(result.types).toBe(3)
    expect(names(result)).toEqual(['int int', 'struct s', 'struct s.b'])
  })

  it('that disagree make the load fail, with the min BTF as with the full one', () => {
    const result = minimize(btfOf(twice(0)), [objectOf(ASKS_B, [[OFFSET, 2, '0:0']])])
    expect(said(result)).toEqual(['byte_off failed: ambiguous'])
    expect(result.types).toBe(3)
  })

  it('are told apart by an earlier relocation, and kept in full for loaders that see them in another order', () => {
    const local = [INT, t.struct('s', 8, [t.member('b', 1, 0), t.member('c', 1, 4)])]
    const both: [number, number, string][] = [
      [OFFSET, 2, '0:1'],
      [OFFSET, 2, '0:0'],
    ]
    const first = minimize(btfOf(twice(0)), [objectOf(local, both)])
    const second = minimize(btfOf(twice(0)), [objectOf(local, both.toReversed())])
    expect(said(first)).toEqual(['byte_off = 8', 'byte_off = 0'])
    expect(said(second)).toEqual(['byte_off failed: ambiguous', 'byte_off = 8'])
    expect(first.bytes).toEqual(second.bytes)
  })

  it('a typedef of that name is kept as well: cilium/ebpf takes it for the struct', () => {
    const result = minimize(btfOf([INT, t.struct('', 8, [t.member('b', 1, 4)]), t.typedef('s', 2)]), [
      objectOf(ASKS_B, [[OFFSET, 2, '0:0']]),
    ])
    expect(said(result)).toEqual(['byte_off poisoned: no-type s'])
    expect(names(result)).toEqual(
      ['int int', 'struct .b', 'typedef s', 'struct '].filter((n) => n !== 'struct ').sort(),
    )
  })

  it('aya cuts flavors at the first ___, and finds what it looks for', () => {
    const local = [INT, t.struct('s___a___b', 4, [t.member('b', 1, 0)])]
    const result = minimize(btfOf(twice(4)), [objectOf(local, [[OFFSET, 2, '0:0']])])
    expect(said(result)).toEqual(['byte_off poisoned: no-type s___a___b'])
    expect(names(result)).toEqual(['int int', 'struct s', 'struct s.b'])
  })
})

describe('what is left out', () => {
  it('pointers point to void where nobody looks behind them, and there is one of those', () => {
    const kernel = [
      LONG,
      t.struct('far', 8, [t.member('x', 1, 0)]),
      t.ptr(2),
      t.struct('farther', 8),
      t.ptr(4),
      t.struct('s', 24, [t.member('p', 3, 0), t.member('q', 5, 8), t.member('r', 1, 16)]),
    ]
    const local = [INT, t.ptr(0), t.struct('s', 16, [t.member('p', 2, 0), t.member('q', 2, 8)])]
    const result = minimize(btfOf(kernel), [
      objectOf(local, [
        [OFFSET, 3, '0:0'],
        [OFFSET, 3, '0:1'],
      ]),
    ])
    const btf = parseBtf(result.bytes)
    expect([1, 2, 3].map((id) => btf.type(id).kind)).toEqual(['int', 'ptr', 'struct'])
    expect(names(result)).toEqual(['int long int', 'struct s', 'struct s.p', 'struct s.q'])
  })

  it('candidates that no loader could match are not kept', () => {
    const result = minimize(
      btfOf([
        INT,
        t.struct('s', 4, [t.member('other', 1, 0)]),
        t.fwd('s'),
        t.enum('s', [{ name: 'b', value: 0n }]),
      ]),
      [
        objectOf(ASKS_B, [
          [EXISTS, 2, '0:0'],
          [ReloKind.TYPE_ID_LOCAL, 2],
        ]),
      ],
    )
    expect(result.types).toBe(0)
    expect(result.counts).toEqual({ resolved: 1, absent: 1, poisoned: 0, failed: 0 })
  })

  it('an object without relocations needs no more than the size of pointers', () => {
    const empty = objectOf([INT], [])
    const result = minimize(btfOf([INT, LONG, t.int('long unsigned int', 8, 0)]), [empty])
    expect(names(result)).toEqual(['int long int'])
    expect(minimize(btfOf([INT]), [{ ...empty, btf: null, lacks: '.BTF' }]).types).toBe(0)
  })
})

describe('what could be mistaken', () => {
  it('an empty array in the middle does not become the open end of its struct', () => {
    const kernel = [
      INT,
      t.array(1, 0),
      t.struct('s', 8, [t.member('a', 1, 0), t.member('b', 2, 4), t.member('z', 1, 4)]),
    ]
    const local = [INT, t.array(1, 4), t.struct('s', 16, [t.member('b', 2, 0)])]
    const result = minimize(btfOf(kernel), [
      objectOf(local, [
        [OFFSET, 3, '0:0'],
        [EXISTS, 3, '0:0:3'],
      ]),
    ])
    expect(said(result)).toEqual(['byte_off = 4', 'field_exists absent: out-of-bounds element 3'])
    expect(names(result)).toContain('struct s.z')
  })

  it('a field type that another relocation looks behind is not cut off for it', () => {
    const kernel = [
      INT,
      t.struct('in', 4, [t.member('a', 1, 0)]),
      t.ptr(2),
      t.typedef('p_t', 3),
      t.struct('s', 8, [t.member('p', 4, 0)]),
    ]
    const local = [INT, t.ptr(0), t.typedef('p_t', 2), t.struct('s', 8, [t.member('p', 3, 0)])]
    const result = minimize(btfOf(kernel), [
      objectOf(local, [
        [OFFSET, 4, '0:0'],
        [ReloKind.TYPE_EXISTS, 3],
      ]),
    ])
    expect(said(result)).toEqual(['byte_off = 0', 'type_exists absent: other-type p_t'])
    expect(names(result)).toContain('struct in')
  })

  it('pointers have the kernel’s size on 32-bit kernels', () => {
    const kernel = [t.int('long int', 4), t.ptr(0), t.struct('s', 8, [t.member('p', 2, 4)])]
    const local = [INT, t.ptr(0), t.struct('s', 8, [t.member('p', 2, 0)])]
    const result = minimize(btfOf(kernel), [objectOf(local, [[SIZE, 3, '0:0']])])
    expect(said(result)).toEqual(['byte_sz = 4'])
  })
})

describe('chains', () => {
  it('lead through TYPE_TAG and FWD', () => {
    const kernel = [INT, t.fwd('hidden'), t.tag('rcu', 2), t.ptr(3), t.typedef('handle_t', 4)]
    const local = [INT, t.fwd('hidden'), t.ptr(2), t.typedef('handle_t', 3)]
    const result = minimize(btfOf(kernel), [
      objectOf(local, [
        [ReloKind.TYPE_EXISTS, 4],
        [ReloKind.TYPE_MATCHES, 4],
      ]),
    ])
    expect(said(result)).toEqual(['type_exists = 1', 'type_matches = 1'])
    expect(names(result)).toEqual(['fwd hidden', 'type_tag rcu', 'typedef handle_t'])
  })

  it('of 33 pointers are too long for loaders, which fail with the min BTF too', () => {
    const pointers = Array.from({ length: 40 }, (_, i) => t.ptr(i === 0 ? 0 : i))
    const types = [...pointers, t.typedef('deep_t', 40)]
    const result = minimize(btfOf(types), [objectOf(types, [[ReloKind.TYPE_EXISTS, 41]])])
    expect(said(result)).toEqual(['type_exists failed: unreadable'])
  })
})

describe('byte order and bitfields', () => {
  it('big-endian kernels give big-endian min BTF, shifts and all, bitfields of unions included', () => {
    const kernel = [
      INT,
      t.union('u', 4, [t.member('low', 1, 24, 8)]),
      t.struct('s', 8, [t.member('f', 1, 35, 5), t.member('u', 2, 0)]),
    ]
    const local = [
      INT,
      t.union('u', 4, [t.member('low', 1, 0, 8)]),
      t.struct('s', 8, [t.member('f', 1, 0, 5), t.member('u', 2, 4)]),
    ]
    const object = objectOf(
      local,
      [0, 4, 5].flatMap((kind) => [[kind, 3, '0:0'] as const, [kind, 3, '0:1:0'] as const]),
      'big',
    )
    const result = minimize(btfOf(kernel, 'big'), [object])
    expect([...result.bytes.subarray(0, 8)]).toEqual([0xeb, 0x9f, 1, 0, 0, 0, 0, 24])
    expect(said(result)).toEqual([
      'byte_off = 4',
      'byte_off = 0',
      'lshift_u64 = 35',
      'lshift_u64 = 56',
      'rshift_u64 = 59',
      'rshift_u64 = 56',
    ])
  })

  it('legacy bitfields, whose width is their type’s, are copied as they are', () => {
    const narrow = { ...INT, bits: 3 }
    const kernel = [narrow, t.struct('s', 4, [{ ...t.member('f', 1, 0), offsetBits: 5 }])]
    const result = minimize(btfOf(kernel), [
      objectOf([INT, t.struct('s', 4, [t.member('f', 1, 0)])], [[OFFSET, 2, '0:0']]),
    ])
    expect(said(result)).toEqual(['byte_off = 0'])
    const struct = parseBtf(result.bytes).type(2)
    expect(struct.kind === 'struct' && struct.members[0]?.offsetBits).toBe(5)
  })
})

it('split BTF gives one BTF of what is needed of it and its base', () => {
  const base = btfOf([INT, t.struct('core', 4, [t.member('b', 1, 0)])])
  // A module's struct with an int of the base at byte 4; its strings follow the base's.
  const at = base.strings.end
  const own = parseBtf(
    assembleBtf({ records: [[at, info(4, 1), 8, at + 4, 1, 32]], strings: Buffer.from('mod\0c\0') }),
    { base },
  )
  const local = [INT, t.struct('mod', 4, [t.member('c', 1, 0)]), t.struct('core', 4, [t.member('b', 1, 0)])]
  const result = minimize(own, [
    objectOf(local, [
      [OFFSET, 2, '0:0'],
      [OFFSET, 3, '0:0'],
    ]),
  ])
  expect(said(result)).toEqual(['byte_off = 4', 'byte_off = 0'])
  expect(names(result)).toEqual(['int int', 'struct core', 'struct core.b', 'struct mod', 'struct mod.c'])
})

it('needs are shared between the objects of a tool, and their order does not matter', () => {
  const one = objectOf(ASKS_B, [[OFFSET, 2, '0:0']])
  const two = objectOf(
    [t.fwd('pad'), ...ASKS_B.map((type) => bumped(type))],
    [
      [EXISTS, 3, '0:0'],
      [SIZE, 3, '0:0'],
    ],
  )
  expect(prepareTool([one, two]).needs.length).toBe(1)
  const kernel = new KernelView(btfOf([INT, t.struct('s', 8, [t.member('b', 1, 4)])]))
  const together = minimizeFor(prepareTool([one, two]), kernel)
  expect(minimizeFor(prepareTool([two, one]), kernel).bytes).toEqual(together.bytes)
  expect(together.counts.resolved).toBe(3)
})

it('selfCheck names the relocation that came out differently', () => {
  const tool = prepareTool([objectOf(ASKS_B, [[OFFSET, 2, '0:0']])])
  const full = btfOf([INT, t.struct('s', 8, [t.member('b', 1, 4)])])
  expect(() => selfCheck(tool, full, full)).not.toThrow()
  expect(() => selfCheck(tool, full, btfOf([INT, t.struct('s', 8)]))).toThrow(
    'object by-hand.bpf.o, handler+0: relocation #0 of raw_tp/x (byte_off): value 4',
  )
})

/** References one higher: for types behind one that was put in front. */
function bumped(type: BtfType): BtfType {
  return type.kind === 'struct'
    ? { ...type, members: type.members.map((m) => ({ ...m, typeId: m.typeId + 1 })) }
    : type
}
