import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseBtf } from './btf.ts'
import { encodeBtf } from './encode.ts'
import { layoutDigest } from './layout-digest.ts'
import { loadBtf } from './load.ts'
import type { BtfType } from './types.ts'

const int: BtfType = { kind: 'int', id: 1, name: 'int', sizeBytes: 4, bits: 32, offsetBits: 0, encoding: 1 }
const long: BtfType = { kind: 'int', id: 2, name: 'long', sizeBytes: 8, bits: 64, offsetBits: 0, encoding: 1 }

function struct(name: string, ...members: [string, number, number][]): BtfType {
  return {
    kind: 'struct',
    id: 0,
    name,
    sizeBytes: 16,
    hasBitfieldSizes: false,
    members: members.map(([memberName, typeId, offsetBits]) => ({
      name: memberName,
      typeId,
      offsetBits,
      bitfieldBits: 0,
    })),
  }
}

function ptr(typeId: number): BtfType {
  return { kind: 'ptr', id: 0, name: '', typeId }
}

function digest(...types: BtfType[]): string {
  return layoutDigest(parseBtf(encodeBtf(types)))
}

describe('layoutDigest', () => {
  const node = digest(int, ptr(3), struct('node', ['next', 2, 0], ['value', 1, 64]))

  it('does not depend on ids and order', () => {
    expect(digest(struct('node', ['next', 3, 0], ['value', 2, 64]), int, ptr(1))).toBe(node)
  })

  it('does not depend on byte order', () => {
    const types = [int, ptr(3), struct('node', ['next', 2, 0], ['value', 1, 64])]
    expect(layoutDigest(parseBtf(encodeBtf(types, 'big')))).toBe(node)
  })

  it('does not depend on duplicates of equal types', () => {
    const one = struct('node', ['next', 2, 0], ['value', 1, 64])
    const other = struct('node', ['next', 5, 0], ['value', 4, 64])
    expect(digest(int, ptr(3), one, int, ptr(6), other)).toBe(node)
  })

  it('does not look at functions, variables, sections and tags', () => {
    expect(
      digest(
        int,
        ptr(3),
        struct('node', ['next', 2, 0], ['value', 1, 64]),
        { kind: 'func_proto', id: 0, name: '', typeId: 1, params: [{ name: 'x', typeId: 5 }] },
        ptr(1),
        { kind: 'func', id: 0, name: 'f', typeId: 4, linkage: 1 },
        { kind: 'var', id: 0, name: 'v', typeId: 1, linkage: 1 },
        {
          kind: 'datasec',
          id: 0,
          name: '.data',
          sizeBytes: 4,
          vars: [{ typeId: 7, offset: 0, sizeBytes: 4 }],
        },
        { kind: 'decl_tag', id: 0, name: 'tag', typeId: 3, componentIndex: -1, isAttribute: false },
      ),
    ).toBe(node)
  })

  it.each<[string, BtfType[]]>([
    ['a member moved', [int, ptr(3), struct('node', ['next', 2, 0], ['value', 1, 96])]],
    ['a member renamed', [int, ptr(3), struct('node', ['next', 2, 0], ['worth', 1, 64])]],
    ['members swapped', [int, ptr(3), struct('node', ['value', 1, 64], ['next', 2, 0])]],
    ['a member of another type', [int, ptr(3), struct('node', ['next', 2, 0], ['value', 2, 64])]],
    ['a type more', [int, ptr(3), struct('node', ['next', 2, 0], ['value', 1, 64]), long]],
    ['another flavour', [int, ptr(3), struct('node___new', ['next', 2, 0], ['value', 1, 64])]],
  ])('differs with %s', (_what, types) => {
    expect(digest(...types)).not.toBe(node)
  })

  it('differs where equal names lead to different types far away', () => {
    // Two structs `leaf`; `root` reaches the one or the other through pointers.
    const build = (leaf: number): string =>
      digest(
        int,
        long,
        struct('leaf', ['x', 1, 0]),
        struct('leaf', ['x', 2, 0]),
        ptr(leaf),
        ptr(5),
        struct('root', ['p', 6, 0]),
      )
    expect(build(3)).not.toBe(build(4))
    expect(build(3)).toBe(build(3))
  })
})

const corpus = join(process.env['BTFHUB_CORPUS'] ?? '../shared/data', 'btf')
describe.skipIf(!existsSync(corpus))(`layoutDigest on real kernels (skipped without ${corpus})`, () => {
  const load = (path: string): string =>
    layoutDigest(loadBtf(execFileSync('xz', ['-dc', join(corpus, path)], { maxBuffer: 1 << 28 })))

  // Other compilers, other functions inlined, so other bytes: `bpftool btf dump format c` prints the same for both.
  it('is equal for the two 5.4.0-80-generic of Ubuntu, whose types are', () => {
    const bionic = load('ubuntu/18.04/arm64/5.4.0-80-generic.btf.xz')
    expect(load('ubuntu/20.04/arm64/5.4.0-80-generic.btf.xz')).toBe(bionic)
  })

  it('tells kernels apart that differ by a few types', () => {
    expect(load('alinux/2/x86_64/4.19.91-18.al7.x86_64.btf.xz')).not.toBe(
      load('alinux/2/x86_64/4.19.91-19.1.al7.x86_64.btf.xz'),
    )
  })

  it('is equal where the content is', () => {
    expect(load('centos/7/x86_64/3.10.0-1160.2.1.el7.x86_64.btf.xz')).toBe(
      load('centos/7/x86_64/3.10.0-1160.2.2.el7.x86_64.btf.xz'),
    )
  })
})
