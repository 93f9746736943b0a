import type { Btf } from './btf.ts'
import type { BtfType } from './types.ts'
import { infoKindFlag, Kind } from './wire.ts'

type Inflater = (btf: Btf, id: number, common: { id: number; name: string }) => BtfType

/** Makes an object of a record. Throws BtfError `MALFORMED` for ids and names that are not there. */
export function inflate(btf: Btf, id: number): BtfType {
  if (id === 0) return { kind: 'void', id: 0, name: '' }
  const inflater = INFLATERS[btf.kind(id)] ?? inflateUnknown
  return inflater(btf, id, { id, name: btf.name(id) })
}

const INFLATERS: Readonly<Record<number, Inflater>> = {
  [Kind.INT]: (btf, id, common) => {
    const bits = btf.word(id, 3)
    return {
      ...common,
      kind: 'int',
      sizeBytes: btf.sizeOrType(id),
      bits: bits & 0xff,
      offsetBits: (bits >>> 16) & 0xff,
      encoding: (bits >>> 24) & 0x0f,
    }
  },
  [Kind.PTR]: reference('ptr'),
  [Kind.TYPEDEF]: reference('typedef'),
  [Kind.VOLATILE]: reference('volatile'),
  [Kind.CONST]: reference('const'),
  [Kind.RESTRICT]: reference('restrict'),
  [Kind.TYPE_TAG]: (btf, id, common) => ({
    ...common,
    kind: 'type_tag',
    typeId: btf.sizeOrType(id),
    isAttribute: btf.kindFlag(id),
  }),
  [Kind.ARRAY]: (btf, id, common) => ({
    ...common,
    kind: 'array',
    typeId: btf.word(id, 3),
    indexTypeId: btf.word(id, 4),
    length: btf.word(id, 5),
  }),
  [Kind.STRUCT]: composite('struct'),
  [Kind.UNION]: composite('union'),
  [Kind.ENUM]: (btf, id, common) => {
    const isSigned = btf.kindFlag(id)
    return {
      ...common,
      kind: 'enum',
      sizeBytes: btf.sizeOrType(id),
      isSigned,
      values: elements(btf, id, 3, 2, (at) => ({
        name: btf.nameAt(id, btf.word(id, at)),
        // Before Linux 6.0 nobody set the flag: negative values of such kernels read as large ones, as in libbpf.
        value: BigInt(isSigned ? btf.word(id, at + 1) | 0 : btf.word(id, at + 1)),
      })),
    }
  },
  [Kind.ENUM64]: (btf, id, common) => {
    const isSigned = btf.kindFlag(id)
    return {
      ...common,
      kind: 'enum64',
      sizeBytes: btf.sizeOrType(id),
      isSigned,
      values: elements(btf, id, 3, 3, (at) => {
        const value = (BigInt(btf.word(id, at + 2)) << 32n) | BigInt(btf.word(id, at + 1))
        return { name: btf.nameAt(id, btf.word(id, at)), value: isSigned ? BigInt.asIntN(64, value) : value }
      }),
    }
  },
  [Kind.FWD]: (btf, id, common) => ({ ...common, kind: 'fwd', isUnion: btf.kindFlag(id) }),
  [Kind.FUNC]: (btf, id, common) => ({
    ...common,
    kind: 'func',
    typeId: btf.sizeOrType(id),
    linkage: btf.vlen(id),
  }),
  [Kind.FUNC_PROTO]: (btf, id, common) => ({
    ...common,
    kind: 'func_proto',
    typeId: btf.sizeOrType(id),
    params: elements(btf, id, 3, 2, (at) => ({
      name: btf.nameAt(id, btf.word(id, at)),
      typeId: btf.word(id, at + 1),
    })),
  }),
  [Kind.VAR]: (btf, id, common) => ({
    ...common,
    kind: 'var',
    typeId: btf.sizeOrType(id),
    linkage: btf.word(id, 3),
  }),
  [Kind.DATASEC]: (btf, id, common) => ({
    ...common,
    kind: 'datasec',
    sizeBytes: btf.sizeOrType(id),
    vars: elements(btf, id, 3, 3, (at) => ({
      typeId: btf.word(id, at),
      offset: btf.word(id, at + 1),
      sizeBytes: btf.word(id, at + 2),
    })),
  }),
  [Kind.FLOAT]: (btf, id, common) => ({ ...common, kind: 'float', sizeBytes: btf.sizeOrType(id) }),
  [Kind.DECL_TAG]: (btf, id, common) => ({
    ...common,
    kind: 'decl_tag',
    typeId: btf.sizeOrType(id),
    componentIndex: btf.word(id, 3) | 0,
    isAttribute: btf.kindFlag(id),
  }),
}

function reference(kind: 'ptr' | 'volatile' | 'const' | 'restrict' | 'typedef'): Inflater {
  return (btf, id, common) => ({ ...common, kind, typeId: btf.sizeOrType(id) })
}

function composite(kind: 'struct' | 'union'): Inflater {
  return (btf, id, common) => {
    const hasBitfieldSizes = infoKindFlag(btf.word(id, 1))
    return {
      ...common,
      kind,
      sizeBytes: btf.sizeOrType(id),
      hasBitfieldSizes,
      members: elements(btf, id, 3, 3, (at) => {
        const offset = btf.word(id, at + 2)
        return {
          name: btf.nameAt(id, btf.word(id, at)),
          typeId: btf.word(id, at + 1),
          offsetBits: hasBitfieldSizes ? offset & 0xffffff : offset,
          bitfieldBits: hasBitfieldSizes ? offset >>> 24 : 0,
        }
      }),
    }
  }
}

function inflateUnknown(btf: Btf, id: number, common: { id: number; name: string }): BtfType {
  const words: number[] = []
  for (let i = 3; i < btf.wordCount(id); i++) words.push(btf.word(id, i))
  return {
    ...common,
    kind: 'unknown',
    kindNumber: btf.kind(id),
    kindFlag: btf.kindFlag(id),
    vlen: btf.vlen(id),
    sizeOrType: btf.sizeOrType(id),
    words,
  }
}

function elements<T>(btf: Btf, id: number, first: number, step: number, make: (at: number) => T): T[] {
  const count = btf.vlen(id)
  const made: T[] = []
  for (let i = 0; i < count; i++) made.push(make(first + i * step))
  return made
}
