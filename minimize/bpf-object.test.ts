import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { BtfError, parseBtf } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { compileBpf, hasClang, kernelBtf } from '../test/helpers/clang-bpf.ts'
import { t } from '../test/helpers/btf-bytes.ts'
import { btfOf, objectOf } from '../test/helpers/hand-object.ts'
import { type BpfObject, minimize, MinimizeError, parseBpfObject, ReloKind } from './index.ts'

const SOURCE = `
  struct task { int pid; struct task *parent; } CORE;
  enum mode { ON = 3 };
  volatile u64 sink;
  static __attribute__((noinline)) int helper(struct task *t) { return t->parent->pid; }
  SEC("raw_tp/one") int first(struct task *t) { sink = t->pid; return helper(t); }
  SEC("raw_tp/two") int second(struct task *t) { sink = enumval(enum mode, ON); return t->pid; }`

describe.skipIf(!hasClang)('objects that clang compiled', () => {
  it.each(['little', 'big'] as const)('of %s-endian machines: relocations with where they are', (endian) => {
    const object = parseBpfObject('tool.bpf.o', compileBpf(SOURCE, { endian }))
    expect(object.endian).toBe(endian)
    expect(object.lacks).toBeNull()
    const told = object.relocations.map(
      (r) => `${r.section} ${r.functionName}#${r.number} ${r.access} ${r.kind}`,
    )
    expect(told.sort()).toEqual([
      '.text helper#0 0:1 0',
      '.text helper#1 0:0 0',
      'raw_tp/one first#0 0:0 0',
      'raw_tp/two second#0 0 11',
      'raw_tp/two second#1 0:0 0',
    ])
    // Loads and 64-bit constants.
    expect(new Set(object.relocations.map((r) => (r.opcode ?? 0) & 7))).toEqual(new Set([0, 1]))
    expect(object.relocations.every((r) => r.functionOffset % 8 === 0 && r.functionOffset >= 0)).toBe(true)
  })

  it('without debug information, or without code, are valid and need nothing', () => {
    const bare = compileBpf('SEC("raw_tp/x") int f(void *ctx) { return 0; }', { debug: false })
    expect(parseBpfObject('o', bare)).toMatchObject({ btf: null, lacks: '.BTF' })
    const mapOnly = parseBpfObject('o', compileBpf('int map SEC(".maps");'))
    expect(mapOnly.lacks).toBe('.BTF.ext')
    expect(mapOnly.relocations).toEqual([])
    const plain = parseBpfObject('o', compileBpf('SEC("raw_tp/x") int f(void *ctx) { return 0; }'))
    expect(plain.lacks).toBeNull()
    expect(plain.relocations).toEqual([])
  })
})

describe('what is no object', () => {
  const cases: readonly (readonly [string, () => Uint8Array, string, RegExp])[] = [
    ['nothing', () => new Uint8Array(), 'NOT_BPF', /object x: no ELF file, its first bytes are \(none\)/],
    ['text', () => Buffer.from('#!/bin/sh\n'), 'NOT_BPF', /no ELF file, its first bytes are 23212f62/],
    [
      'an ELF header that ends',
      () => Buffer.from('7f454c46020101', 'hex'),
      'MALFORMED',
      /object x: ELF header/,
    ],
    ['this very program', () => elfOf(62), 'NOT_BPF', /ELF of machine 62 with 64 bits, expected BPF \(247\)/],
    ['too much', () => new Uint8Array(limits.object.maxBytes + 1), 'LIMIT', /\d+ bytes, \d+ are allowed/],
  ]
  it.each(cases)('%s is refused', (_, bytes, code, message) => {
    expect(() => parseBpfObject('x', bytes())).toThrow(message)
    expect(() => parseBpfObject('x', bytes())).toThrow(expect.objectContaining({ code }))
  })
})

describe.skipIf(!hasClang)('damaged objects and kernels', () => {
  let object: Uint8Array
  let kernel: Uint8Array
  beforeAll(() => {
    object = compileBpf(SOURCE)
    kernel = kernelBtf('struct task { long pad; int pid; struct task *parent; } a; enum mode { ON = 1 } b;')
  })

  /** Runs it all; anything but our own error is a defect. */
  const attempt = (objectBytes: Uint8Array, kernelBytes: Uint8Array): 'done' | 'refused' => {
    let parsed: BpfObject
    try {
      parsed = parseBpfObject('damaged', objectBytes)
      minimize(parseBtf(kernelBytes), [parsed])
      return 'done'
    } catch (err) {
      if (err instanceof BtfError) return 'refused'
      expect(err).toBeInstanceOf(MinimizeError)
      expect((err as MinimizeError).code).not.toBe('DIFFERS')
      return 'refused'
    }
  }

  it('an object that ends anywhere is refused, and says what it is about', () => {
    for (let end = 0; end < object.byteLength; end += 7) {
      expect(() => parseBpfObject('cut', object.subarray(0, end))).toThrow(/^object cut: /)
    }
  })

  it('a relocation that refers to what is not there is an outcome, not a crash', () => {
    const types = [t.int('int'), t.struct('s', 4, [t.member('a', 1, 0)])]
    const relos = [
      [ReloKind.FIELD_EXISTS, 99, '0:0'],
      [ReloKind.FIELD_EXISTS, 2, '0:1'],
      [ReloKind.FIELD_EXISTS, 2, '0:0:0'],
      [ReloKind.FIELD_EXISTS, 2, ''],
      [ReloKind.FIELD_EXISTS, 2, '0:-1'],
      [ReloKind.FIELD_EXISTS, 2, Array.from({ length: 65 }, () => '0').join(':')],
      [ReloKind.FIELD_SIGNED, 2, '0'],
      [ReloKind.TYPE_EXISTS, 2, '1'],
      [ReloKind.ENUMVAL_VALUE, 2, '0'],
      [13, 2, '0'],
    ] as const
    const { resolutions } = minimize(btfOf(types), [objectOf(types, relos)])
    const outcomes = resolutions[0]?.map(({ outcome }) => outcome) ?? []
    expect(outcomes.map((outcome) => outcome.status)).toEqual(relos.map(() => 'failed'))
    expect(outcomes.map((outcome) => 'problem' in outcome && outcome.problem)).toEqual([
      'type id 99: the last is 2',
      'member 1 of struct s, which has 1',
      'field 0 of int int, which has none',
      'access string "": expected numbers between colons',
      'access string "0:-1": expected numbers between colons',
      'access string of 65 parts, 64 are the most',
      "signed of an array's element",
      'access string "1": expected "0"',
      's is a struct, no enum',
      'relocation of unknown kind 13',
    ])
  })

  it('bytes changed by chance are refused or worked with', () => {
    const damage = fc.array(fc.tuple(fc.nat(1 << 20), fc.nat(255)), { minLength: 1, maxLength: 8 })
    const damaged = (bytes: Uint8Array, changes: readonly (readonly [number, number])[]): Uint8Array => {
      const copy = Uint8Array.from(bytes)
      for (const [at, value] of changes) copy[at % copy.byteLength] = value
      return copy
    }
    const seen = new Set<string>()
    fc.assert(
      fc.property(damage, damage, (one, two) => {
        seen.add(attempt(damaged(object, one), kernel))
        seen.add(attempt(object, damaged(kernel, two)))
      }),
      { numRuns: 1500 },
    )
    expect(seen).toEqual(new Set(['done', 'refused']))
  })

  it('types that were made to be compared for ever are given up', () => {
    // Each of many function types takes two of the next: paths double, pairs do not.
    const deep = (last: number): ReturnType<typeof t.proto>[] =>
      Array.from({ length: last }, (_, i) =>
        t.proto(
          0,
          ['a', 'b'].map((name) => ({ name, typeId: i === 0 ? 1 : i + 1 })),
        ),
      )
    const types = [t.int('int'), ...deep(60), t.typedef('f_t', 61)]
    const { resolutions } = minimize(btfOf(types), [
      objectOf(types, [
        [ReloKind.TYPE_EXISTS, 62],
        [ReloKind.TYPE_MATCHES, 62],
      ]),
    ])
    expect(resolutions[0]?.map(({ outcome }) => outcome)).toEqual(
      [0, 1].map(() => expect.objectContaining({ status: 'failed', reason: 'unreadable' })),
    )
  })

  it('thousands of relocations take milliseconds', () => {
    const count = 20_000
    const types = [t.int('int'), t.struct('s', 8, [t.member('a', 1, 0), t.member('b', 1, 4)])]
    const relos = Array.from(
      { length: count },
      (_, i) => [ReloKind.FIELD_BYTE_OFFSET, 2, `0:${i % 2}`] as const,
    )
    const started = performance.now()
    expect(minimize(btfOf(types), [objectOf(types, relos)]).counts.resolved).toBe(count)
    expect(performance.now() - started).toBeLessThan(2000)
  })
})

/** The least of an ELF file for a machine: its header. */
function elfOf(machine: number): Uint8Array {
  const bytes = new Uint8Array(64)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  new DataView(bytes.buffer).setUint16(16, 1, true)
  new DataView(bytes.buffer).setUint16(18, machine, true)
  return bytes
}
