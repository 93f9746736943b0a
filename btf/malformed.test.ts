import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assembleBtf, EVERY_KIND, info, t } from '../test/helpers/btf-bytes.ts'
import { btfCorpus, corpusBtf } from '../test/helpers/btf-corpus.ts'
import { type Btf, parseBtf } from './btf.ts'
import { diffTypes } from './diff.ts'
import { encodeBtf } from './encode.ts'
import { BtfError } from './errors.ts'
import { formatHeader, formatType } from './format-c.ts'
import { formatDiff } from './format-diff.ts'
import { formatJson } from './format-json.ts'
import { formatRaw } from './format-raw.ts'
import { findMember, sizeOf, skipModifiersAndTypedefs } from './layout.ts'
import type { BtfType } from './types.ts'
import { validateBtf } from './validate.ts'

const m = t.member

/** Everything that one can do to a BTF, each to its end or to a BtfError; anything else is thrown on. */
function exercise(btf: Btf): void {
  const acts: (() => unknown)[] = [
    () => validateBtf(btf),
    () => drain(formatHeader(btf)),
    () => drain(formatRaw(btf)),
    () => drain(formatJson(btf)),
    () => drain(formatDiff(diffTypes(btf, btf))),
    () => btf.idsByName('int'),
  ]
  for (let id = 0; id < Math.min(btf.idCount, 200); id++) {
    acts.push(
      () => btf.type(id),
      () => sizeOf(btf, id),
      () => skipModifiersAndTypedefs(btf, id),
      () => findMember(btf, id, 'first'),
      () => formatType(btf, id),
    )
  }
  for (const act of acts) orBtfError(act)
}

function drain(lines: Iterable<string>): void {
  for (const line of lines) expect(typeof line).toBe('string')
}

function orBtfError(act: () => unknown): void {
  try {
    act()
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
  }
}

/** What a BTF that is said to be valid has to stand: every type is read, dumped, and comes back when written. */
function holds(btf: Btf): void {
  const types: BtfType[] = []
  for (let id = 1; id < btf.idCount; id++) types.push(btf.type(id))
  drain(formatRaw(btf))
  drain(formatJson(btf))
  if (types.some((type) => type.kind === 'unknown')) return
  const again = parseBtf(encodeBtf(types, btf.endian))
  expect(types.map((type) => again.type(type.id))).toEqual(types)
  validateBtf(again)
}

describe('hostile types end in an error or in a value, soon', () => {
  const int = t.int('int')
  const nested = (depth: number, link: (next: number) => BtfType, end: BtfType): BtfType[] => [
    ...Array.from({ length: depth }, (_, i) => link(i + 2)),
    end,
  ]
  it.each<[string, BtfType[]]>([
    ['a struct inside itself', [t.struct('s', 8, [m('s', 1, 0)])]],
    ['an anonymous struct inside itself', [t.struct('', 8, [m('', 1, 0)])]],
    ['two structs inside each other', [t.struct('a', 8, [m('b', 2, 0)]), t.struct('b', 8, [m('a', 1, 0)])]],
    ['a typedef of itself', [t.typedef('t', 1), t.struct('s', 8, [m('m', 1, 0)])]],
    ['a typedef of a pointer to itself', [t.typedef('t', 2), t.ptr(1)]],
    ['a pointer to itself', [t.ptr(1), t.typedef('t', 1), t.struct('s', 8, [m('p', 1, 0)])]],
    ['an array of itself', [t.array(1, 2, 1), t.typedef('t', 1), t.struct('s', 8, [m('a', 1, 0)])]],
    ['modifiers in a ring', [t.ref('const', 2), t.ref('volatile', 3), t.tag('x', 1), t.typedef('t', 1)]],
    ['a function of itself', [t.proto(1, [{ name: 'f', typeId: 1 }]), t.typedef('t', 1), t.func('f', 1)]],
    [
      'an anonymous struct that points to itself',
      [t.ptr(2), t.struct('', 8, [m('next', 1, 0)]), t.typedef('t', 2)],
    ],
    [
      'a struct that wants to be whole before it is',
      [int, t.struct('s', 8, [m('p', 3, 0)]), t.ptr(4), t.array(2, 1)],
    ],
    ['ten thousand typedefs', nested(10_000, (next) => t.typedef(`t${next}`, next), int)],
    ['ten thousand pointers', [...nested(10_000, (next) => t.ptr(next), int), t.typedef('t', 1)]],
    [
      'ten thousand structs, each in the one before',
      nested(10_000, (next) => t.struct(`s${next}`, 4, [m('s', next, 0)]), int),
    ],
    ['ten thousand anonymous structs', nested(10_000, (next) => t.struct('', 4, [m('', next, 0)]), int)],
    ['ten thousand functions that return the next', nested(10_000, (next) => t.proto(next), int)],
    ['arrays of arrays beyond any memory', nested(60, (next) => t.array(next, 0xffffffff), int)],
    [
      'a struct of four gigabytes',
      [int, t.struct('s', 0xfffffff8, [m('a', 1, 0)]), t.struct('b', 0xfffffff8, [m('a', 1, 0, 3)])],
    ],
    ['a union of four gigabytes', [int, t.union('u', 0xfffffff8, [m('a', 1, 0)]), t.union('v', 0xffffffff)]],
    ['members that overlap', [int, t.struct('s', 8, [m('a', 1, 0), m('b', 1, 2), m('c', 1, 1)])]],
    ['members in reverse', [int, t.struct('s', 8, [m('a', 1, 4), m('b', 1, 0)])]],
    [
      'an enum of nine bytes',
      [t.enum('e', [{ name: 'A', value: 1n }], 9), t.struct('s', 16, [m('e', 1, 0)])],
    ],
    [
      'a member of void, of a function, of a section',
      [t.proto(0), t.datasec('d', 0, []), t.struct('s', 8, [m('a', 0, 0), m('b', 1, 0), m('c', 2, 0)])],
    ],
    ['a tag of itself', [t.declTag('bpf_kfunc', 1)]],
    [
      'a kfunc that is no function',
      [int, t.declTag('bpf_kfunc', 1), t.func('f', 1), t.declTag('bpf_kfunc', 3)],
    ],
    [
      'names that would end a line, a string, a comment',
      [
        t.int('*/\n"'),
        t.struct('a;}\n#error', 4, [m('x */ "\n', 1, 0)]),
        t.tag('"))) int x; //', 2),
        t.ptr(3),
        t.typedef('t\n', 4),
        t.datasec('*/\n', 0, []),
      ],
    ],
  ])('%s', (_, types) => {
    exercise(parseBtf(encodeBtf(types)))
  })

  it.each<[string, (next: number) => BtfType]>([
    ['anonymous structs', (next) => t.struct('', 4, [m('', next, 0), m('', next, 0)])],
    ['anonymous unions', (next) => t.union('', 4, [m('a', next, 0), m('b', next, 0)])],
    ['functions', (next) => t.proto(next, [{ name: '', typeId: next }])],
  ])('%s of which each has the next one twice are 2^60 and are given up', (_, link) => {
    const btf = parseBtf(
      encodeBtf([...Array.from({ length: 60 }, (_, i) => link(i + 2)), int, t.typedef('t', 1)]),
    )
    for (const act of [
      (): unknown => drain(formatHeader(btf)),
      (): unknown => formatType(btf, 't'),
      (): unknown => drain(formatDiff(diffTypes(btf, btf))),
    ]) {
      orBtfError(act)
    }
    validateBtf(btf)
  })

  it('no name gets out of its line in a header', () => {
    const types = [
      t.int('int'),
      t.struct('s {};\n#error', 4, [m('m;\n#error', 1, 0)]),
      t.enum('e', [{ name: 'A,\n#error', value: 1n }]),
      t.typedef('t;\n#error', 1),
      t.proto(0),
      t.func('f;\n#error', 5),
      t.declTag('bpf_kfunc', 6),
    ]
    const text = [...formatHeader(parseBtf(encodeBtf(types)))].join('\n')
    expect(text).not.toContain('#error')
  })
})

describe('hostile sections end in an error', () => {
  const int = [0, info(1), 4, 32]
  it.each<[string, Uint8Array]>([
    ['vlen beyond the end', assembleBtf({ records: [[0, info(15, 0xffffff), 0]] })],
    [
      'string offsets beyond the end',
      assembleBtf({
        records: [
          [0xffffffff, info(1), 4, 32],
          [9, info(7), 0],
        ],
      }),
    ],
    [
      'type ids beyond the end',
      assembleBtf({
        records: [
          [0, info(2), 0xffffffff],
          [0, info(3), 0, 0xfffffffe, 0xfffffffe, 9],
        ],
      }),
    ],
    ['everything set', assembleBtf({ records: [[0xffffffff, 0xffffffff, 0xffffffff]] })],
    ['strings without end', assembleBtf({ records: [int], strings: Buffer.alloc(1 << 20, 'n') })],
    ['types over strings', assembleBtf({ records: [int], header: { strOff: 0 } })],
    [
      'a layout section over strings',
      assembleBtf({ records: [int], layout: [[4, 0]], header: { layoutOff: 16, layoutLen: 64 } }),
    ],
  ])('%s', (_, bytes) => {
    expect(() => validateBtf(parseBtf(bytes))).toThrow(BtfError)
    orBtfError(() => exercise(parseBtf(bytes)))
  })

  it('a name for every byte of a long string takes no time', () => {
    // Half a million types whose names all end a megabyte later.
    const strings = Buffer.concat([Buffer.alloc(1), Buffer.alloc(1 << 20, 'n'), Buffer.alloc(1)])
    const records = Array.from({ length: 200_000 }, (_, i) => [1 + i, info(7), 0])
    const btf = parseBtf(assembleBtf({ records, strings }))
    expect(btf.idsByName('n'.repeat(100))).toEqual([])
    expect(() => validateBtf(btf)).toThrow('bytes to the next NUL')
    expect(() => drain(formatRaw(btf))).toThrow('bytes to the next NUL')
  })
})

describe('any bytes', () => {
  const seeds = [
    encodeBtf(EVERY_KIND),
    encodeBtf(EVERY_KIND, 'big'),
    assembleBtf({
      records: [
        [1, info(20, 1), 0, 1, 2],
        [1, info(1), 4, 32],
      ],
      strings: ['', 'x'],
      layout: Array.from(
        { length: 21 },
        (_, kind) =>
          [
            [4, 4],
            [0, 0],
            [4, 0],
          ][kind === 20 ? 0 : kind === 1 ? 2 : 1] as [number, number],
      ),
    }),
  ]

  it('are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => orBtfError(() => exercise(parseBtf(bytes)))),
      { numRuns: 2000 },
    )
  })

  it('behind a header are a value or a BtfError', () => {
    const words = fc.array(
      fc.oneof(
        fc.nat(40),
        fc.integer(),
        fc.integer({ min: 0, max: 20 }).map((kind) => info(kind, 1)),
      ),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(words, fc.constantFrom('little', 'big'), (records, endian) => {
        orBtfError(() => {
          const btf = parseBtf(assembleBtf({ endian: endian, records: [records], strings: ['', 'a', 'b'] }))
          exercise(btf)
          if (isValid(btf)) holds(btf)
        })
      }),
      { numRuns: 3000 },
    )
  })

  it.each(seeds.map((seed, i) => [i, seed] as const))(
    'of small BTF %i, changed here and there, are a value or a BtfError',
    (_, seed) => {
      const edits = fc.array(
        fc.tuple(fc.nat(seed.byteLength - 1), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 0xff))),
        { maxLength: 8 },
      )
      fc.assert(
        fc.property(edits, fc.option(fc.nat(seed.byteLength)), (changes, length) => {
          const bytes = Uint8Array.from(seed)
          for (const [at, byte] of changes) bytes[at] = byte
          orBtfError(() => {
            const btf = parseBtf(bytes.subarray(0, length ?? bytes.byteLength))
            exercise(btf)
            if (isValid(btf)) holds(btf)
          })
        }),
        { numRuns: 2000 },
      )
    },
  )

  it.skipIf(btfCorpus === null)(
    'of a real BTF, changed here and there, are refused or valid (skipped without BTFHUB_CORPUS)',
    () => {
      const seed = corpusBtf('split/btf-rs/vmlinux.btf.xz')
      const edits = fc.array(fc.tuple(fc.nat(seed.byteLength - 1), fc.nat(255)), {
        minLength: 1,
        maxLength: 20,
      })
      fc.assert(
        fc.property(edits, (changes) => {
          const bytes = Uint8Array.from(seed)
          for (const [at, byte] of changes) bytes[at] = byte
          orBtfError(() => {
            const btf = parseBtf(bytes)
            validateBtf(btf)
            for (let id = 1; id < btf.idCount; id += 97) btf.type(id)
            btf.idsByName('task_struct').forEach((id) => formatType(btf, id))
          })
        }),
        { numRuns: 60 },
      )
    },
  )

  function isValid(btf: Btf): boolean {
    try {
      validateBtf(btf)
      return true
    } catch (err) {
      if (err instanceof BtfError) return false
      throw err
    }
  }
})
