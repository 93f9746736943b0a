import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { assembleBtf, info } from '../test/helpers/btf-bytes.ts'
import { readAsOld } from '../test/helpers/old-reader.ts'
import {
  type Btf,
  type BtfType,
  COMPAT_LEVELS,
  type CompatLevel,
  encodeBtf,
  Kind,
  layoutDigest,
  lowerBtf,
  parseBtf,
  validateBtf,
} from './index.ts'

const int: BtfType = { id: 1, kind: 'int', name: 'int', sizeBytes: 4, bits: 32, offsetBits: 0, encoding: 1 }
const float: BtfType = { id: 2, kind: 'float', name: 'double', sizeBytes: 8 }
const tag: BtfType = { id: 3, kind: 'type_tag', name: 'user', typeId: 1, isAttribute: false }
const struct: BtfType = {
  id: 4,
  kind: 'struct',
  name: 'task_struct',
  sizeBytes: 16,
  hasBitfieldSizes: false,
  members: [
    { name: 'pid', typeId: 1, offsetBits: 0, bitfieldBits: 0 },
    { name: 'load', typeId: 2, offsetBits: 64, bitfieldBits: 0 },
  ],
}
const declared: BtfType = {
  id: 5,
  kind: 'decl_tag',
  name: 'note',
  typeId: 4,
  componentIndex: 1,
  isAttribute: false,
}
const wide: BtfType = {
  id: 6,
  kind: 'enum64',
  name: 'wide',
  sizeBytes: 8,
  isSigned: false,
  values: [
    { name: 'SMALL', value: 7n },
    { name: 'LARGE', value: 0xffffffffn },
    { name: 'HUGE', value: 1n << 40n },
  ],
}
const ALL = [int, float, tag, struct, declared, wide]

const CEILINGS: Readonly<Record<CompatLevel, number>> = { '0.3': 15, '0.4': 16, '0.6': 18, '1.0': 19 }

function kinds(btf: Btf): number[] {
  return Array.from({ length: btf.idCount - 1 }, (_, i) => btf.kind(i + 1))
}

/** bpftool 7.1 is of libbpf 1.1: it takes all levels, and checks sizes and references. */
function bpftool(bytes: Uint8Array): string {
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-compat-'))
  try {
    writeFileSync(join(dir, 'btf'), bytes)
    return execFileSync('bpftool', ['btf', 'dump', 'file', join(dir, 'btf')], {
      encoding: 'utf8',
      maxBuffer: 1 << 30,
    })
  } finally {
    rmSync(dir, { recursive: true })
  }
}

describe('lowerBtf', () => {
  it.each(COMPAT_LEVELS)(
    'to %s leaves no kind above it, and every id, size and offset as it was',
    (level) => {
      const lowered = parseBtf(lowerBtf(parseBtf(encodeBtf(ALL)), level))
      validateBtf(lowered)
      expect(readAsOld(lowered.bytes, CEILINGS[level])).toEqual(kinds(lowered))
      expect(lowered.type(4)).toEqual(struct)
      expect(lowered.sizeOrType(2)).toBe(8)
      expect(bpftool(lowered.bytes)).toContain("[4] STRUCT 'task_struct' size=16 vlen=2")
    },
  )

  it('to the newest changes nothing of what the newest knows', () => {
    const lowered = parseBtf(lowerBtf(parseBtf(encodeBtf(ALL)), '1.0'))
    ALL.forEach((type) => expect(lowered.type(type.id)).toEqual(type))
  })

  it('makes of each kind what libbpf makes of it, but of ENUM64 an enum with the values that it can have', () => {
    const lowered = parseBtf(lowerBtf(parseBtf(encodeBtf(ALL)), '0.3'))
    expect(lowered.type(2)).toMatchObject({ kind: 'struct', name: '', sizeBytes: 8, members: [] })
    expect(lowered.type(3)).toMatchObject({ kind: 'const', name: '', typeId: 1 })
    expect(lowered.type(5)).toMatchObject({ kind: 'int', name: '', sizeBytes: 1, bits: 8 })
    expect(lowered.type(6)).toMatchObject({
      kind: 'enum',
      name: 'wide',
      sizeBytes: 8,
      values: [
        { name: 'SMALL', value: 7n },
        { name: 'LARGE', value: 0xffffffffn },
      ],
    })
  })

  it('keeps negative values of an ENUM64, and leaves out those that have more bits', () => {
    const values = [-1n, -0x80000000n, -0x80000001n, 5n, 1n << 31n].map((value, i) => ({
      name: `V${i}`,
      value,
    }))
    const lowered = parseBtf(lowerBtf(parseBtf(encodeBtf([{ ...wide, isSigned: true, values }])), '0.6'))
    const type = lowered.type(1)
    if (type.kind !== 'enum') throw new Error(`an enum64 became a ${type.kind}`)
    expect(type.values.map(({ name, value }) => [name, BigInt.asIntN(32, value)])).toEqual([
      ['V0', -1n],
      ['V1', -0x80000000n],
      ['V3', 5n],
    ])
  })

  it('takes the sign of an ENUM away with ENUM64, the value’s bits staying', () => {
    const values = [{ name: 'MINUS', value: -1n }]
    const signed: BtfType = { id: 1, kind: 'enum', name: 'e', sizeBytes: 4, isSigned: true, values }
    const btf = parseBtf(encodeBtf([signed]))
    expect(() => readAsOld(btf.bytes, CEILINGS['0.6'])).toThrow(/flag that means nothing/)
    expect(readAsOld(lowerBtf(btf, '0.6'), CEILINGS['0.6'])).toEqual([Kind.ENUM])
    expect(parseBtf(lowerBtf(btf, '0.6')).type(1)).toMatchObject({ values: [{ value: 0xffffffffn }] })
    expect(parseBtf(lowerBtf(btf, '1.0')).type(1)).toEqual(signed)
  })

  it.each<[string, BtfType[], CompatLevel, CompatLevel | null]>([
    ['FLOAT', [int, float], '0.3', '0.4'],
    ['TYPE_TAG', [int, { ...tag, id: 2 }], '0.4', '0.6'],
    ['TYPE_TAG that is an attribute', [int, { ...tag, id: 2, isAttribute: true }], '1.0', null],
    ['DECL_TAG', [int, { ...declared, id: 2, typeId: 3 }, { ...struct, id: 3 }], '0.4', '0.6'],
    ['ENUM64', [int, wide], '0.6', '1.0'],
  ])('%s is one that an older reader refuses, and reads when it is lowered', (_, types, old, young) => {
    const native = parseBtf(encodeBtf(types))
    expect(() => readAsOld(native.bytes, CEILINGS[old])).toThrow()
    expect(readAsOld(lowerBtf(native, old), CEILINGS[old])).toHaveLength(types.length)
    if (young !== null) expect(readAsOld(native.bytes, CEILINGS[young])).toEqual(kinds(native))
  })

  it('is what it was where there is nothing to lower', () => {
    const plain = encodeBtf([int, { ...struct, id: 2, members: struct.members.slice(0, 1) }])
    for (const level of COMPAT_LEVELS) expect(lowerBtf(parseBtf(plain), level)).toEqual(plain)
  })

  it('is big-endian where its source is', () => {
    for (const level of COMPAT_LEVELS) {
      const lowered = lowerBtf(parseBtf(encodeBtf(ALL, 'big')), level)
      expect(readAsOld(lowered, CEILINGS[level])).toEqual(kinds(parseBtf(lowered)))
    }
  })

  it('refuses split BTF, which an old reader does not know', () => {
    const base = parseBtf(encodeBtf([int]))
    const split = parseBtf(assembleBtf({ records: [[0, info(Kind.PTR), 1]], strings: [] }), { base })
    expect(() => lowerBtf(split, '1.0')).toThrow(/merge it first/)
  })

  it('takes the layout section away, and kinds that only it describes', () => {
    const layout = Array.from({ length: 21 }, (_, kind): readonly [number, number] =>
      kind === 20 ? [4, 0] : kind === Kind.INT ? [4, 0] : [0, 0],
    )
    const known = [0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0, 4]
    const each = [0, 0, 0, 0, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 0, 12, 0, 0, 0, 12, 0]
    const sizes = layout.map((_, kind): readonly [number, number] => [known[kind] ?? 0, each[kind] ?? 0])
    const bytes = assembleBtf({
      records: [
        [1, info(Kind.INT), 4, 32],
        [1, info(20), 4, 99],
      ],
      strings: ['', 'int'],
      layout: sizes,
    })
    const lowered = parseBtf(lowerBtf(parseBtf(bytes), '1.0'))
    expect(() => readAsOld(bytes, Kind.ENUM64)).toThrow(/a header of 32 bytes/)
    expect(readAsOld(lowered.bytes, Kind.DATASEC)).toHaveLength(2)
    expect(kinds(lowered)).toEqual([Kind.INT, Kind.INT])
  })

  it('counts no further than old readers: enums lose their last values, structs are refused', () => {
    const values = Array.from({ length: 65540 }, (_, i) => ({ name: `V${i}`, value: BigInt(i) }))
    const long: BtfType = { id: 1, kind: 'enum', name: 'long', sizeBytes: 4, isSigned: false, values }
    expect(() => readAsOld(encodeBtf([long]), Kind.ENUM64)).toThrow(/bits that mean nothing/)
    expect(parseBtf(lowerBtf(parseBtf(encodeBtf([long])), '1.0')).vlen(1)).toBe(65535)
    const wide64 = encodeBtf([{ ...long, kind: 'enum64', sizeBytes: 8 }])
    for (const level of COMPAT_LEVELS) expect(parseBtf(lowerBtf(parseBtf(wide64), level)).vlen(1)).toBe(65535)
    const members = values.map(({ name }) => ({ name, typeId: 1, offsetBits: 0, bitfieldBits: 0 }))
    const union: BtfType = { id: 2, kind: 'union', name: 'u', sizeBytes: 4, members, hasBitfieldSizes: false }
    expect(() => lowerBtf(parseBtf(encodeBtf([int, union])), '1.0')).toThrow(/union u has 65540 elements/)
  })

  const vmlinux = '/sys/kernel/btf/vmlinux'
  it.skipIf(!existsSync(vmlinux))(
    'of a whole kernel is one that bpftool reads (skipped where it has no BTF)',
    () => {
      const own = parseBtf(new Uint8Array(readFileSync(vmlinux)))
      expect(layoutDigest(parseBtf(lowerBtf(own, '1.0')))).toBe(layoutDigest(own))
      const lowered = lowerBtf(own, '0.3')
      validateBtf(parseBtf(lowered))
      expect(bpftool(lowered)).not.toMatch(/^\[\d+\] (FLOAT|DECL_TAG|TYPE_TAG|ENUM64) /m)
    },
  )
})
