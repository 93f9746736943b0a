import { describe, expect, it } from 'vitest'
import { assembleBtf, type BtfParts, info } from '../test/helpers/btf-bytes.ts'
import { BtfError } from './errors.ts'
import { parseBtf } from './btf.ts'
import { readBtfHeader } from './wire.ts'

const INT = [0, info(1), 4, 32]

function errorOf(act: () => unknown): BtfError {
  try {
    act()
  } catch (err) {
    expect(err).toBeInstanceOf(BtfError)
    return err as BtfError
  }
  throw new Error('expected a BtfError')
}

describe.each(['little', 'big'] as const)('the header of a %s-endian BTF', (endian) => {
  it('of 24 bytes is read', () => {
    expect(readBtfHeader(assembleBtf({ endian, records: [INT] }))).toEqual({
      endian,
      headerBytes: 24,
      typesOffset: 24,
      typesBytes: 16,
      stringsOffset: 40,
      stringsBytes: 1,
      layoutOffset: 24,
      layoutBytes: 0,
      totalBytes: 41,
    })
  })

  it('of 32 bytes is read with its layout section', () => {
    expect(readBtfHeader(assembleBtf({ endian, records: [INT], layout: [[0, 0]] }))).toMatchObject({
      headerBytes: 32,
      typesOffset: 32,
      layoutOffset: 48,
      layoutBytes: 4,
      stringsOffset: 52,
      totalBytes: 53,
    })
  })

  it.each([
    ['24 bytes and zeros behind', { header: { extra: new Uint8Array(4) } }, 28],
    ['32 bytes and zeros behind', { layout: [[0, 0]], header: { extra: new Uint8Array(40) } }, 72],
    ['an odd number of bytes', { header: { extra: new Uint8Array(1) } }, 25],
  ] as [string, BtfParts, number][])('may have %s', (_, parts, headerBytes) => {
    const btf = parseBtf(assembleBtf({ endian, records: [INT], ...parts }))
    expect(btf.header.headerBytes).toBe(headerBytes)
    expect(btf.type(1)).toMatchObject({ kind: 'int', sizeBytes: 4 })
  })

  it('may have sections apart from each other', () => {
    const bytes = assembleBtf({
      endian,
      records: [[0, 0, 0], INT, [0, 0, 0]],
      header: { typeOff: 12, typeLen: 16, strOff: 40 },
    })
    expect(parseBtf(bytes).idCount).toBe(2)
  })

  it('bytes behind the last section are not its own', () => {
    const bytes = assembleBtf({ endian, records: [INT], trailing: Buffer.from('more') })
    expect(parseBtf(bytes).bytes.byteLength).toBe(bytes.byteLength - 4)
  })

  it.each([
    ['version 2', { header: { version: 2 } }, 'UNSUPPORTED', 'BTF header: version 2, expected 1'],
    ['flags', { header: { flags: 1 } }, 'UNSUPPORTED', 'BTF header: flags 1, expected 0'],
    ['a short hdr_len', { header: { hdrLen: 23 } }, 'MALFORMED', 'BTF header: hdr_len 23, expected 24 to 25'],
    [
      'an hdr_len beyond the end',
      { header: { hdrLen: 26 } },
      'MALFORMED',
      'BTF header: hdr_len 26, expected 24 to 25',
    ],
    [
      'unknown header fields that are set',
      { layout: [[0, 0]], header: { extra: Uint8Array.of(0, 0, 7) } },
      'UNSUPPORTED',
      'BTF header: byte 34 of 35 is set and has no known meaning',
    ],
    [
      'half a layout field that is set',
      { header: { extra: Uint8Array.of(1, 0, 0, 0) } },
      'UNSUPPORTED',
      'BTF header: byte 24 of 28 is set and has no known meaning',
    ],
    [
      'types that are not aligned',
      { header: { typeOff: 2, strOff: 4 } },
      'MALFORMED',
      'BTF header: type_off 2 is not a multiple of 4',
    ],
    [
      'types of an odd length',
      { records: [INT], header: { typeLen: 15 } },
      'MALFORMED',
      'BTF header: type_len 15 is not a multiple of 4',
    ],
    [
      'types that reach into the strings',
      { records: [INT], header: { strOff: 12 } },
      'MALFORMED',
      "BTF header: types end at 16, behind the strings' start at 12",
    ],
    [
      'types whose end is beyond 2^32',
      { header: { typeOff: 0xfffffffc, typeLen: 0xfffffffc } },
      'MALFORMED',
      "BTF header: types end at 8589934584, behind the strings' start at 0",
    ],
    [
      'strings that end behind the file',
      { header: { strLen: 2 } },
      'MALFORMED',
      'BTF header: sections end at byte 26, 25 bytes are there',
    ],
    [
      'strings whose end is beyond 2^32',
      { header: { strOff: 0xffffffff, strLen: 0xffffffff } },
      'MALFORMED',
      'BTF header: sections end at byte 8589934614, 25 bytes are there',
    ],
    [
      'a layout section inside the types',
      { records: [INT], layout: [[0, 0]], header: { layoutOff: 12 } },
      'MALFORMED',
      'BTF header: layout section at 12 does not lie between types and strings',
    ],
    [
      'a layout section inside the strings',
      { layout: [[0, 0]], header: { strOff: 0, layoutOff: 0, layoutLen: 4 } },
      'MALFORMED',
      'BTF header: layout section at 0 does not lie between types and strings',
    ],
    [
      'a layout section that is not aligned',
      { layout: [[0, 0]], header: { layoutOff: 2 } },
      'MALFORMED',
      'BTF header: layout section is not aligned to 4',
    ],
  ] as [string, BtfParts, string, string][])('is refused with %s', (_, parts, code, message) => {
    expect(errorOf(() => parseBtf(assembleBtf({ endian, ...parts })))).toMatchObject({ code, message })
  })
})

describe('what is no BTF', () => {
  it.each([
    ['nothing', new Uint8Array(0), 'NOT_BTF', 'BTF header: expected magic 0xeb9f, got bytes (none)'],
    [
      'an ELF file',
      Buffer.from('\x7fELF....', 'latin1'),
      'NOT_BTF',
      'BTF header: expected magic 0xeb9f, got bytes 7f454c46',
    ],
    [
      'magic alone',
      Uint8Array.of(0x9f, 0xeb),
      'MALFORMED',
      'BTF header: 24 bytes are the least, 2 are there',
    ],
    [
      'a header cut short',
      assembleBtf().subarray(0, 23),
      'MALFORMED',
      'BTF header: 24 bytes are the least, 23 are there',
    ],
  ])('%s is refused', (_, bytes, code, message) => {
    expect(errorOf(() => parseBtf(bytes))).toMatchObject({ code, message })
  })
})

it('the header alone is enough where the size of the file is known', () => {
  const bytes = assembleBtf({ records: [INT] })
  expect(readBtfHeader(bytes.subarray(0, 24), bytes.byteLength).totalBytes).toBe(bytes.byteLength)
})

describe('the layout section', () => {
  /** Kinds 0 to 19 as they are, then one of 4 bytes and 8 for each element. */
  const known: [number, number][] = [
    [0, 0],
    [4, 0],
    [0, 0],
    [12, 0],
    [0, 12],
    [0, 12],
    [0, 8],
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 8],
    [4, 0],
    [0, 12],
    [0, 0],
    [4, 0],
    [0, 0],
    [0, 12],
  ]
  const records = [INT, [1, info(20, 2, true), 77, 1, 2, 3, 4, 5], [3, info(127), 9], INT]
  const strings = ['', 'x', 'y']

  it.each(['little', 'big'] as const)('of a %s-endian BTF tells the size of unknown kinds', (endian) => {
    const layout: [number, number][] = [...known, [4, 8], ...Array<[number, number]>(107).fill([0, 0])]
    const btf = parseBtf(assembleBtf({ endian, records, strings, layout }))
    expect(btf.idCount).toBe(5)
    expect(btf.type(2)).toEqual({
      kind: 'unknown',
      id: 2,
      name: 'x',
      kindNumber: 20,
      kindFlag: true,
      vlen: 2,
      sizeOrType: 77,
      words: [1, 2, 3, 4, 5],
    })
    expect(btf.type(3)).toMatchObject({ kind: 'unknown', kindNumber: 127, name: 'y', words: [] })
    expect(btf.type(4)).toMatchObject({ kind: 'int' })
  })

  it('is needed for unknown kinds', () => {
    expect(errorOf(() => parseBtf(assembleBtf({ records, strings })))).toMatchObject({
      code: 'UNSUPPORTED',
      message: 'type id 2 at byte 40: kind 20 is unknown, and no layout section tells its size',
    })
  })

  it('is refused where an unknown kind is behind its end', () => {
    const layout: [number, number][] = [...known, [4, 8]]
    expect(errorOf(() => parseBtf(assembleBtf({ records, strings, layout })))).toMatchObject({
      code: 'UNSUPPORTED',
      message: 'type id 3 at byte 80: kind 127 is unknown, and no layout section tells its size',
    })
  })

  it.each([
    [
      'a size that is no number of words',
      20,
      [2, 0],
      'MALFORMED',
      'layout section: kind 20 at byte 124: 2 and 0 bytes, expected multiples of 4',
    ],
    [
      'another size for a kind that we know',
      3,
      [16, 0],
      'UNSUPPORTED',
      'layout section: array at byte 56 has records of 16 bytes and 0 per element, expected 12 and 0',
    ],
  ] as [string, number, [number, number], string, string][])(
    'is refused with %s',
    (_, kind, entry, code, message) => {
      const layout: [number, number][] = [...known, [4, 8]]
      layout[kind] = entry
      const bytes = assembleBtf({ records: [[0, info(2), 0]], layout })
      expect(errorOf(() => parseBtf(bytes))).toMatchObject({ code, message })
    },
  )

  it('of a base serves split BTF that has none', () => {
    const base = parseBtf(assembleBtf({ records: [INT], strings, layout: [...known, [4, 8]] }))
    const split = assembleBtf({
      records: [[1, info(20, 1), 0, 1, 2, 3]],
      strings: new Uint8Array(0),
    })
    expect(parseBtf(split, { base }).type(2)).toMatchObject({ name: 'x', words: [1, 2, 3] })
  })
})
