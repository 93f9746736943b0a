import type { BtfEnumerator, BtfMember, BtfParam, BtfSecVar, BtfType } from '../../btf/types.ts'

/** What goes into a BTF, word by word: knows nothing of the code that it tests. */
export interface BtfParts {
  readonly endian?: 'little' | 'big'
  /** Words of each record. */
  readonly records?: readonly (readonly number[])[]
  /** Joined with NULs, one behind the last; the first is the empty one. Bytes are taken as they are. */
  readonly strings?: readonly string[] | Uint8Array
  /** `info_sz` and `elem_sz` by kind: makes the header 32 bytes long and adds the section. */
  readonly layout?: readonly (readonly [number, number])[]
  /** Header fields that are to be something else; `extra` is added to the header as it is. */
  readonly header?: Partial<Record<HeaderField, number>> & { readonly extra?: Uint8Array }
  readonly trailing?: Uint8Array
}

type HeaderField =
  'version' | 'flags' | 'hdrLen' | 'typeOff' | 'typeLen' | 'strOff' | 'strLen' | 'layoutOff' | 'layoutLen'

/** Puts a BTF together. */
export function assembleBtf(parts: BtfParts = {}): Uint8Array {
  const { endian = 'little', records = [], layout, header = {}, strings = [''] } = parts
  const little = endian === 'little'
  const types = u32s(records.flat(), little)
  const layoutBytes = (layout ?? []).flatMap(([info, element]) => [info, element, 0, 0])
  const stringBytes =
    strings instanceof Uint8Array ? strings : Buffer.from(`${strings.join('\0')}\0`, 'latin1')
  const extra = header.extra ?? new Uint8Array(0)
  const known = layout === undefined ? 24 : 32
  const fields = [
    header.hdrLen ?? known + extra.byteLength,
    header.typeOff ?? 0,
    header.typeLen ?? types.byteLength,
    header.strOff ?? types.byteLength + layoutBytes.length,
    header.strLen ?? stringBytes.byteLength,
  ]
  if (layout !== undefined) {
    fields.push(header.layoutOff ?? types.byteLength, header.layoutLen ?? layoutBytes.length)
  }
  const magic = little ? [0x9f, 0xeb] : [0xeb, 0x9f]
  return Buffer.concat([
    Uint8Array.from([...magic, header.version ?? 1, header.flags ?? 0]),
    u32s(fields, little),
    extra,
    types,
    Uint8Array.from(layoutBytes),
    stringBytes,
    parts.trailing ?? new Uint8Array(0),
  ])
}

/** `info` of a record. */
export function info(kind: number, vlen = 0, kindFlag = false): number {
  return ((kindFlag ? 2 ** 31 : 0) + kind * 2 ** 24 + vlen) >>> 0
}

function u32s(words: readonly number[], little: boolean): Uint8Array {
  const bytes = new Uint8Array(words.length * 4)
  const view = new DataView(bytes.buffer)
  words.forEach((word, i) => view.setUint32(i * 4, word >>> 0, little))
  return bytes
}

type Kinds = BtfType['kind']
type Of<K extends Kinds> = Extract<BtfType, { kind: K }>

/** Types in few words; the id is that of their place in a list, see {@link numbered}. */
export const t = {
  int: (name: string, sizeBytes = 4, encoding = 1): Of<'int'> => ({
    kind: 'int',
    id: 0,
    name,
    sizeBytes,
    bits: sizeBytes * 8,
    offsetBits: 0,
    encoding,
  }),
  ref: (kind: 'ptr' | 'const' | 'volatile' | 'restrict', typeId: number): BtfType => ({
    kind,
    id: 0,
    name: '',
    typeId,
  }),
  ptr: (typeId: number): BtfType => t.ref('ptr', typeId),
  typedef: (name: string, typeId: number): BtfType => ({ kind: 'typedef', id: 0, name, typeId }),
  tag: (name: string, typeId: number, isAttribute = false): Of<'type_tag'> => ({
    kind: 'type_tag',
    id: 0,
    name,
    typeId,
    isAttribute,
  }),
  array: (typeId: number, length: number, indexTypeId = 1): Of<'array'> => ({
    kind: 'array',
    id: 0,
    name: '',
    typeId,
    indexTypeId,
    length,
  }),
  struct: (name: string, sizeBytes: number, members: readonly BtfMember[] = []): Of<'struct' | 'union'> => ({
    kind: 'struct',
    id: 0,
    name,
    sizeBytes,
    members,
    hasBitfieldSizes: members.some((m) => m.bitfieldBits !== 0),
  }),
  union: (name: string, sizeBytes: number, members: readonly BtfMember[] = []): Of<'struct' | 'union'> => ({
    ...t.struct(name, sizeBytes, members),
    kind: 'union',
  }),
  /** Offset in bytes, or in bits for a bitfield. */
  member: (name: string, typeId: number, offset: number, bitfieldBits = 0): BtfMember => ({
    name,
    typeId,
    offsetBits: bitfieldBits === 0 ? offset * 8 : offset,
    bitfieldBits,
  }),
  enum: (
    name: string,
    values: readonly BtfEnumerator[],
    sizeBytes = 4,
    kind: 'enum' | 'enum64' = 'enum',
  ): Of<'enum' | 'enum64'> => ({
    kind,
    id: 0,
    name,
    sizeBytes,
    values,
    isSigned: values.some((v) => v.value < 0n),
  }),
  fwd: (name: string, isUnion = false): Of<'fwd'> => ({ kind: 'fwd', id: 0, name, isUnion }),
  func: (name: string, typeId: number, linkage = 1): Of<'func'> => ({
    kind: 'func',
    id: 0,
    name,
    typeId,
    linkage,
  }),
  proto: (typeId: number, params: readonly BtfParam[] = []): Of<'func_proto'> => ({
    kind: 'func_proto',
    id: 0,
    name: '',
    typeId,
    params,
  }),
  var: (name: string, typeId: number, linkage = 1): Of<'var'> => ({
    kind: 'var',
    id: 0,
    name,
    typeId,
    linkage,
  }),
  datasec: (name: string, sizeBytes: number, vars: readonly BtfSecVar[]): Of<'datasec'> => ({
    kind: 'datasec',
    id: 0,
    name,
    sizeBytes,
    vars,
  }),
  float: (name: string, sizeBytes: number): Of<'float'> => ({ kind: 'float', id: 0, name, sizeBytes }),
  declTag: (name: string, typeId: number, componentIndex = -1, isAttribute = false): Of<'decl_tag'> => ({
    kind: 'decl_tag',
    id: 0,
    name,
    typeId,
    componentIndex,
    isAttribute,
  }),
}

/** The same types with the ids that they have when written in this order. */
export function numbered(types: readonly BtfType[]): BtfType[] {
  return types.map((type, i) => ({ ...type, id: i + 1 }))
}

/** One or more of each kind that has a record, every reference valid. */
export const EVERY_KIND: readonly BtfType[] = numbered([
  t.int('int'),
  t.int('unsigned char', 1, 0),
  t.int('_Bool', 1, 4),
  t.int('char', 1, 2),
  t.ptr(0),
  t.array(4, 16),
  t.struct('pair', 16, [t.member('first', 5, 0), t.member('second', 1, 8)]),
  t.struct('flags', 4, [t.member('a', 1, 0, 3), t.member('b', 1, 3, 29)]),
  t.union('either', 8, [t.member('p', 5, 0), t.member('n', 1, 0)]),
  t.enum('sign', [
    { name: 'MINUS', value: -1n },
    { name: 'PLUS', value: 1n },
  ]),
  t.enum('word', [{ name: 'ALL', value: 0xffffffffn }]),
  t.fwd('elsewhere'),
  t.fwd('elsewhere_union', true),
  t.typedef('pair_t', 7),
  t.ref('volatile', 1),
  t.ref('const', 1),
  t.ref('restrict', 5),
  t.proto(1, [
    { name: 'count', typeId: 1 },
    { name: '', typeId: 0 },
  ]),
  t.func('printk', 18, 1),
  t.var('jiffies', 15, 0),
  t.datasec('.data..percpu', 4, [{ typeId: 20, offset: 0, sizeBytes: 4 }]),
  t.float('double', 8),
  t.declTag('bpf_kfunc', 19),
  t.declTag('second', 7, 1, true),
  t.tag('rcu', 7),
  t.tag('address_space(1)', 1, true),
  t.enum('wide', [{ name: 'TOP', value: 0xffffffffffffffffn }], 8, 'enum64'),
  t.enum(
    'wide_signed',
    [
      { name: 'LEAST', value: -(2n ** 63n) },
      { name: 'MOST', value: 2n ** 63n - 1n },
    ],
    8,
    'enum64',
  ),
  t.struct('', 0),
])
