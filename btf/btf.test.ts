import { describe, expect, it } from 'vitest'
import { assembleBtf, EVERY_KIND, info, numbered, t } from '../test/helpers/btf-bytes.ts'
import { type Btf, parseBtf } from './btf.ts'
import { encodeBtf } from './encode.ts'
import { validateBtf } from './validate.ts'

const INT = (name: number): number[] => [name, info(1), 4, (1 << 24) | 32]

describe.each(['little', 'big'] as const)('%s-endian BTF', (endian) => {
  const btf = parseBtf(encodeBtf(EVERY_KIND, endian))

  it('gives back every kind as it was written', () => {
    expect(EVERY_KIND.map((type) => btf.type(type.id))).toEqual(EVERY_KIND)
    validateBtf(btf)
  })

  it('has void as id 0', () => {
    expect(btf.type(0)).toEqual({ kind: 'void', id: 0, name: '' })
    expect([btf.kind(0), btf.vlen(0), btf.name(0), btf.sizeOrType(0), btf.kindFlag(0)]).toEqual([
      0,
      0,
      '',
      0,
      false,
    ])
    expect(btf.wordCount(0)).toBe(0)
  })

  it('is read where it does not begin at a multiple of 4', () => {
    const bytes = encodeBtf(EVERY_KIND, endian)
    const shifted = new Uint8Array(bytes.byteLength + 1)
    shifted.set(bytes, 1)
    expect(parseBtf(shifted.subarray(1)).type(7)).toEqual(btf.type(7))
  })

  it('reads vlen of more than 16 bits', () => {
    const count = 70_000
    const values = Array.from({ length: count }, (_, i) => [0, i])
    const bytes = assembleBtf({
      endian,
      records: [[0, info(6, count), 4, ...values.flat()], INT(1)],
      strings: ['', 'behind'],
    })
    const wide = parseBtf(bytes)
    expect(wide.vlen(1)).toBe(count)
    expect(wide.name(2)).toBe('behind')
  })

  it('with no types is read', () => {
    expect(parseBtf(assembleBtf({ endian })).idCount).toBe(1)
  })
})

describe('ids that are not there', () => {
  const btf = parseBtf(encodeBtf([t.int('int')]))
  const asked: [string, (id: number) => unknown][] = [
    ['type', (id) => btf.type(id)],
    ['kind', (id) => btf.kind(id)],
    ['vlen', (id) => btf.vlen(id)],
    ['kindFlag', (id) => btf.kindFlag(id)],
    ['name', (id) => btf.name(id)],
    ['nameOffset', (id) => btf.nameOffset(id)],
    ['sizeOrType', (id) => btf.sizeOrType(id)],
    ['word', (id) => btf.word(id, 0)],
    ['wordCount', (id) => btf.wordCount(id)],
    ['byteOffset', (id) => btf.byteOffset(id)],
  ]
  const bad = [-1, 2, 3, 0xffffffff, 0.5, 1.5, Number.NaN, Number.POSITIVE_INFINITY]

  it.each(asked)('are refused by %s', (_, ask) => {
    for (const id of bad) expect(() => ask(id)).toThrow(`type id ${id}: has no record, expected 1 to 1`)
  })

  it('are told by has', () => {
    expect(bad.map((id) => btf.has(id))).toEqual(bad.map(() => false))
    expect([btf.has(0), btf.has(1)]).toEqual([true, true])
  })

  it('void has no record to read words of', () => {
    expect(() => btf.word(0, 0)).toThrow('type id 0: has no record')
  })
})

describe('records that do not fit', () => {
  it.each([
    [
      'a record cut short',
      [INT(0), [0, info(1)]],
      'type id 2 at byte 40: the type section ends in the middle of a record',
    ],
    [
      'a record without its trailing word',
      [INT(0), [0, info(1), 4]],
      'type id 2 at byte 40: int with vlen 0 needs 4 bytes more than there are',
    ],
    [
      'more members than there are bytes',
      [[0, info(4, 0xffffff), 8, 0, 0, 0]],
      'type id 1 at byte 24: struct with vlen 16777215 needs 201326568 bytes more than there are',
    ],
    ['kind 0', [INT(0), [0, 0, 0]], 'type id 2 at byte 40: kind 0, which no record has'],
  ])('%s is refused', (_, records, message) => {
    expect(() => parseBtf(assembleBtf({ records }))).toThrow(message)
  })
})

describe('split BTF', () => {
  const base = parseBtf(assembleBtf({ records: [INT(1), [5, info(4), 8]], strings: ['', 'int', 'one'] }))
  const baseStrings = 9
  const split = parseBtf(
    assembleBtf({
      records: [
        [baseStrings, info(4, 1), 8, 1, 2, 0],
        [0, info(2), 2],
      ],
      strings: Buffer.from('two\0'),
    }),
    { base },
  )
  const third = parseBtf(
    assembleBtf({ records: [[baseStrings + 4, info(8), 3]], strings: Buffer.from('three\0') }),
    { base: split },
  )

  it("continues the base's ids", () => {
    expect([split.firstId, split.idCount]).toEqual([3, 5])
    expect(split.type(1)).toMatchObject({ kind: 'int', name: 'int' })
    expect(split.type(4)).toMatchObject({ kind: 'ptr', typeId: 2 })
  })

  it("reads names from its own strings and from the base's", () => {
    expect(split.type(3)).toMatchObject({
      name: 'two',
      members: [{ name: 'int', typeId: 2, offsetBits: 0, bitfieldBits: 0 }],
    })
    validateBtf(split)
  })

  it('has several levels', () => {
    expect([third.firstId, third.idCount]).toEqual([5, 6])
    expect(third.type(5)).toMatchObject({ kind: 'typedef', name: 'three', typeId: 3 })
    expect([1, 2, 3].map((id) => third.name(id))).toEqual(['int', 'one', 'two'])
    validateBtf(third)
  })

  it('finds names of all levels', () => {
    expect(['int', 'one', 'two', 'three'].map((name) => third.idsByName(name))).toEqual([[1], [2], [3], [5]])
    expect(split.idsByName('three')).toEqual([])
  })

  it('finds a type of the third level whose name is in the first', () => {
    const top = parseBtf(assembleBtf({ records: [INT(5)], strings: new Uint8Array(0) }), { base: split })
    expect(top.idsByName('one')).toEqual([2, 5])
  })

  it('may have no strings of its own', () => {
    const top = parseBtf(assembleBtf({ records: [INT(1)], strings: new Uint8Array(0) }), { base })
    expect(top.type(3)).toMatchObject({ name: 'int' })
    validateBtf(top)
  })

  it('tells where a record is in the file that has it', () => {
    expect([split.byteOffset(1), split.byteOffset(2), split.byteOffset(3), split.byteOffset(4)]).toEqual([
      24, 40, 24, 48,
    ])
    expect([split.wordCount(1), split.wordCount(3)]).toEqual([4, 6])
  })

  it('without its base is refused', () => {
    const bytes = assembleBtf({ strings: Buffer.from('two\0') })
    expect(() => parseBtf(bytes)).toThrow(
      expect.objectContaining({
        code: 'NEEDS_BASE',
        message: 'string section: starts with no NUL, as that of split BTF: give its base',
      }),
    )
  })

  it('of another byte order than its base is refused', () => {
    expect(() => parseBtf(assembleBtf({ endian: 'big', strings: Buffer.from('two\0') }), { base })).toThrow(
      'split BTF is big-endian, its base little-endian',
    )
  })

  it('of another base is refused by its references', () => {
    const small = parseBtf(assembleBtf({ records: [INT(0)] }))
    const wrong = parseBtf(assembleBtf({ records: [[0, info(2), 3]], strings: Buffer.from('two\0') }), {
      base: small,
    })
    expect(() => validateBtf(wrong)).toThrow('type id 2 at byte 24: ptr points to type 3, the last is 2')
  })
})

describe('string sections', () => {
  it.each([
    ['none', new Uint8Array(0), 'string section: empty, expected at least a NUL (split BTF may have none'],
    ['no NUL at the end', Buffer.from('\0abc'), 'string section: byte 3, the last, is no NUL'],
    ['no NUL at the start', Buffer.from('abc\0'), 'string section: starts with no NUL'],
  ])('with %s are refused', (_, strings, message) => {
    expect(() => parseBtf(assembleBtf({ strings }))).toThrow(message)
  })

  it('give every byte as one character', () => {
    const all = String.fromCharCode(...Array.from({ length: 255 }, (_, i) => i + 1))
    expect(parseBtf(assembleBtf({ records: [INT(1)], strings: ['', all] })).name(1)).toBe(all)
  })

  it('may be shared from the middle', () => {
    expect(parseBtf(assembleBtf({ records: [INT(4)], strings: ['', 'unint'] })).name(1)).toBe('nt')
  })

  it.each([
    ['behind the end', ['', 'a'], 3, 'type id 1 at byte 24: string offset 3: the section ends at 3'],
    [
      'longer than any name',
      ['', 'n'.repeat(3000)],
      1,
      'type id 1 at byte 24: string offset 1: 3000 bytes to the next NUL, expected 2048 or fewer',
    ],
  ])('a name %s is refused with the type that has it', (_, strings, offset, message) => {
    const btf = parseBtf(assembleBtf({ records: [INT(offset)], strings }))
    expect(() => btf.name(1)).toThrow(message)
    expect(() => btf.type(1)).toThrow(message)
  })
})

describe('lookup by name', () => {
  const named = (...names: string[]): Btf => parseBtf(encodeBtf(numbered(names.map((name) => t.int(name)))))

  it('finds all types of a name in the order of their ids', () => {
    expect(named('a', 'b', 'a', 'c', 'a').idsByName('a')).toEqual([1, 3, 5])
  })

  it.each([
    ['task_struct___old', 'task_struct'],
    ['task_struct___a___b', 'task_struct___a'],
    ['a___b', 'a'],
    ['a___', 'a___'],
    ['___a', '___a'],
    ['a____b', 'a____b'],
    ['a__b', 'a__b'],
    ['a___b___', 'a'],
    ['a___b____c', 'a'],
  ])('takes the flavor off %s', (name, essential) => {
    const btf = named('other', name)
    expect(btf.idsByEssentialName(essential)).toEqual([2])
    expect(btf.idsByName(name)).toEqual([2])
    if (essential !== name) expect(btf.idsByEssentialName(name)).toEqual([])
  })

  it('gives types that have layouts, not functions, variables, sections and tags', () => {
    const btf = parseBtf(encodeBtf(EVERY_KIND))
    expect(['printk', 'jiffies', '.data..percpu', 'bpf_kfunc', 'rcu'].map((n) => btf.idsByName(n))).toEqual([
      [],
      [],
      [],
      [],
      [],
    ])
    expect(
      ['pair', 'either', 'sign', 'wide', 'elsewhere', 'pair_t', 'double'].map((n) => btf.idsByName(n)),
    ).toEqual([[7], [9], [10], [27], [12], [14], [22]])
  })

  it('passes over names that are not there or too long', () => {
    const strings = ['', 'good', 'n'.repeat(3000)]
    const btf = parseBtf(assembleBtf({ records: [INT(1), INT(6), INT(99_999), INT(1)], strings }))
    expect(btf.idsByName('good')).toEqual([1, 4])
    expect(btf.idsByName('n'.repeat(3000))).toEqual([])
  })
})
