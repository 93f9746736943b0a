import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type BtfType,
  BtfWriter,
  dedupBtf,
  encodeBtf,
  layoutDigest,
  parseBtf,
  validateBtf,
  withoutKabiNumber,
} from './index.ts'
import { MutableRecords } from './dedup-records.ts'

let dir: string
let oracle: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'btfhub-dedup-'))
  oracle = join(dir, 'oracle')
  const source = new URL('../test/helpers/dedup/dedup.c', import.meta.url).pathname
  execFileSync('gcc', ['-O2', '-o', oracle, source, '-lbpf'])
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** What libbpf makes of a BTF; null where it refuses it. */
function libbpf(bytes: Uint8Array): Buffer | null {
  writeFileSync(join(dir, 'in'), bytes)
  const { status } = spawnSync(oracle, [join(dir, 'in'), join(dir, 'out')])
  if (status === 2 || status === 3) return null
  expect(status).toBe(0)
  return readFileSync(join(dir, 'out'))
}

function expectAsLibbpf(bytes: Uint8Array): void {
  const theirs = libbpf(bytes)
  if (theirs === null) return
  const [ours, expected] = [parseBtf(dedupBtf(parseBtf(bytes))), parseBtf(new Uint8Array(theirs))]
  validateBtf(ours)
  const listed = (btf: typeof ours): BtfType[] => Array.from({ length: btf.idCount }, (_, id) => btf.type(id))
  expect(listed(ours)).toEqual(listed(expected))
}

const int = { id: 0, kind: 'int', name: 'int', sizeBytes: 4, bits: 32, offsetBits: 0, encoding: 1 } as const
const ptr = (typeId: number): BtfType => ({ id: 0, kind: 'ptr', name: '', typeId })
const struct = (name: string, ...members: (readonly [string, number, number])[]): BtfType => ({
  id: 0,
  kind: 'struct',
  name,
  sizeBytes: 64,
  hasBitfieldSizes: false,
  members: members.map(([member, typeId, offsetBits]) => ({
    name: member,
    typeId,
    offsetBits,
    bitfieldBits: 0,
  })),
})
const fwd = (name: string): BtfType => ({ id: 0, kind: 'fwd', name, isUnion: false })
const enumOf = (name: string, values: readonly number[]): BtfType => ({
  id: 0,
  kind: 'enum',
  name,
  sizeBytes: 4,
  isSigned: false,
  values: values.map((value) => ({ name: `${name}_${value}`, value: BigInt(value) })),
})

describe('dedupBtf', () => {
  it.each([
    ['equal ints', [int, int, ptr(1), ptr(2)], 3],
    [
      'lists that lead back to themselves',
      [struct('a', ['n', 2, 0]), ptr(1), struct('a', ['n', 4, 0]), ptr(3)],
      3,
    ],
    [
      'a declaration and its struct',
      [struct('a', ['p', 2, 0]), ptr(3), fwd('b'), struct('a', ['p', 5, 0]), ptr(6), struct('b')],
      4,
    ],
    ['a declaration nobody leads to', [fwd('b'), struct('b'), ptr(1)], 3],
    [
      'a declaration of one of two structs',
      [fwd('b'), struct('b'), struct('b', ['x', 4, 0]), int, ptr(1)],
      6,
    ],
    ['an enum that is declared', [enumOf('e', []), enumOf('e', [1]), ptr(1), ptr(2)], 3],
    ['structs of other members', [int, struct('a', ['x', 1, 0]), struct('a', ['y', 1, 0])], 4],
  ] as const)('makes one of %s', (_, types, idCount) => {
    const bytes = encodeBtf(types)
    expect(parseBtf(dedupBtf(parseBtf(bytes))).idCount).toBe(idCount)
    expectAsLibbpf(bytes)
  })

  it('gives what libbpf gives for types at random', () => {
    const ref = fc.integer({ min: 0, max: 12 })
    const name = fc.constantFrom('a', 'b')
    const type: fc.Arbitrary<BtfType> = fc.oneof(
      fc.constant<BtfType>(int),
      fc.constant<BtfType>({ ...int, name: 'long', sizeBytes: 8, bits: 64 }),
      ref.map(ptr),
      name.map(fwd),
      fc.tuple(name, fc.subarray([1, 2])).map(([n, values]) => enumOf(n, values)),
      fc.tuple(name, ref, ref).map(([n, x, y]) => struct(n, ['x', x, 0], ['y', y, 64])),
      fc.tuple(name, ref).map(([n, x]) => struct(n, ['x', x, 0])),
      ref.map((typeId): BtfType => ({ id: 0, kind: 'const', name: '', typeId })),
      fc.tuple(name, ref).map(([n, typeId]): BtfType => ({ id: 0, kind: 'typedef', name: n, typeId })),
      fc.tuple(ref, ref).map(([typeId, param]): BtfType => ({
        id: 0,
        kind: 'func_proto',
        name: '',
        typeId,
        params: [{ name: 'p', typeId: param }],
      })),
      ref.map((typeId): BtfType => ({ id: 0, kind: 'array', name: '', typeId, indexTypeId: 1, length: 3 })),
    )
    let compared = 0
    fc.assert(
      fc.property(fc.array(type, { minLength: 12, maxLength: 12 }), (rest) => {
        const bytes = encodeBtf([int, ...rest])
        const btf = parseBtf(bytes)
        try {
          validateBtf(btf)
        } catch {
          return
        }
        compared++
        expectAsLibbpf(bytes)
      }),
      { numRuns: 3000, seed: 20261121 },
    )
    expect(compared).toBeGreaterThan(100)
  })

  const vmlinux = '/sys/kernel/btf/vmlinux'
  it.skipIf(!existsSync(vmlinux))(
    'makes of a kernel twice over the kernel once, as libbpf does (skipped where the running one has no BTF)',
    () => {
      const once = parseBtf(new Uint8Array(readFileSync(vmlinux)))
      const twice = new BtfWriter()
      for (const shift of [0, once.idCount - 1]) {
        const records = new MutableRecords(once)
        for (let id = 1; id < once.idCount; id++) {
          records.mapTypes(id, (type) => (type === 0 ? 0 : type + shift))
          records.mapNames(id, (offset) => twice.string(once.nameAt(id, offset)))
          const trailing = records.words.subarray(records.trailing(id), records.end(id))
          twice.add(records.name(id), records.info(id), records.third(id), trailing)
        }
      }
      const bytes = twice.finish(once.endian)
      const made = dedupBtf(parseBtf(bytes))
      const ours = parseBtf(made)
      expect(ours.idCount).toBe(parseBtf(new Uint8Array(libbpf(bytes) ?? [])).idCount)
      expect(layoutDigest(ours)).toBe(layoutDigest(once))
      expect(Buffer.from(dedupBtf(ours)).equals(made)).toBe(true)
    },
  )

  it('refuses what refers to itself without a struct between, and to what is not there', () => {
    expect(() => dedupBtf(parseBtf(encodeBtf([ptr(2), ptr(1)])))).toThrow(/itself/)
    expect(() => dedupBtf(parseBtf(encodeBtf([ptr(9)])))).toThrow(/type 9, the last is 1/)
  })

  it('makes one of structs that differ in the number of a kABI macro alone, where it is told to', () => {
    const hidden = (n: number): BtfType => struct('cred', [`__UNIQUE_ID_rh_kabi_hide${n}`, 1, 0])
    const btf = parseBtf(encodeBtf([int, hidden(8), hidden(16), ptr(2), ptr(3)]))
    expect(parseBtf(dedupBtf(btf)).idCount).toBe(6)
    expect(parseBtf(dedupBtf(btf, { rename: withoutKabiNumber })).idCount).toBe(4)
  })

  it('merges equal types of a graph that has some of them twice, which comparing by pairs does not', () => {
    // Two pointers to one struct in the first, to two equal structs in the second.
    const types = [
      struct('a', ['x', 2, 0], ['y', 2, 64]),
      ptr(3),
      struct('b', ['z', 8, 0]),
      struct('a', ['x', 5, 0], ['y', 6, 64]),
      ptr(7),
      ptr(9),
      struct('b', ['z', 10, 0]),
      ptr(1),
      struct('b', ['z', 11, 0]),
      ptr(4),
      ptr(4),
    ]
    const btf = parseBtf(encodeBtf(types))
    const merged = parseBtf(dedupBtf(btf, { mergeEqual: true }))
    expect(merged.idsByName('a').length).toBe(1)
    expect(merged.idCount).toBe(5)
  })
})
