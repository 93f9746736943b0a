import type { Btf } from './btf.ts'
import { encodingWord, kindWord, linkageWord, nameWord } from './raw-words.ts'
import type { BtfType } from './types.ts'

/**
 * One line of JSON for each type, with the keys that `bpftool -j btf dump` gives an element of its `types`. Of split
 * BTF, its own types. Values of enums are numbers of any size, as there: beyond 2^53 they want a reader that keeps
 * them. What bpftool has no key for: `kind_flag: true` for tags that are attributes. Throws BtfError `MALFORMED`.
 */
export function* formatJson(btf: Btf): Generator<string> {
  for (let id = btf.firstId; id < btf.idCount; id++) yield formatJsonType(btf.type(id))
}

/** The line of one type. */
export function formatJsonType(type: BtfType): string {
  return json({
    id: type.id,
    kind: kindWord(type.kind, type.kind === 'unknown' ? type.kindNumber : undefined),
    name: nameWord(type.name),
    ...fields(type),
  })
}

function fields(type: BtfType): Readonly<Record<string, Json>> {
  switch (type.kind) {
    case 'void':
      return {}
    case 'int':
      return {
        size: type.sizeBytes,
        bits_offset: type.offsetBits,
        nr_bits: type.bits,
        encoding: encodingWord(type.encoding),
      }
    case 'ptr':
    case 'volatile':
    case 'const':
    case 'restrict':
    case 'typedef':
      return { type_id: type.typeId }
    case 'type_tag':
      return { type_id: type.typeId, ...attribute(type.isAttribute) }
    case 'array':
      return { type_id: type.typeId, index_type_id: type.indexTypeId, nr_elems: type.length }
    case 'struct':
    case 'union':
      return {
        size: type.sizeBytes,
        vlen: type.members.length,
        members: type.members.map(({ name, typeId, offsetBits, bitfieldBits }) => ({
          name: nameWord(name),
          type_id: typeId,
          bits_offset: offsetBits,
          ...(bitfieldBits === 0 ? {} : { bitfield_size: bitfieldBits }),
        })),
      }
    case 'enum':
    case 'enum64':
      return {
        encoding: type.isSigned ? 'SIGNED' : 'UNSIGNED',
        size: type.sizeBytes,
        vlen: type.values.length,
        values: type.values.map(({ name, value }) => ({ name: nameWord(name), val: value })),
      }
    case 'fwd':
      return { fwd_kind: type.isUnion ? 'union' : 'struct' }
    case 'func':
      return { type_id: type.typeId, linkage: linkageWord(type.linkage) }
    case 'func_proto':
      return {
        ret_type_id: type.typeId,
        vlen: type.params.length,
        params: type.params.map(({ name, typeId }) => ({ name: nameWord(name), type_id: typeId })),
      }
    case 'var':
      return { type_id: type.typeId, linkage: linkageWord(type.linkage) }
    case 'datasec':
      return {
        size: type.sizeBytes,
        vlen: type.vars.length,
        vars: type.vars.map(({ typeId, offset, sizeBytes }) => ({
          type_id: typeId,
          offset,
          size: sizeBytes,
        })),
      }
    case 'float':
      return { size: type.sizeBytes }
    case 'decl_tag':
      return {
        type_id: type.typeId,
        component_idx: type.componentIndex,
        ...attribute(type.isAttribute),
      }
    case 'unknown':
      return {
        size_or_type: type.sizeOrType,
        vlen: type.vlen,
        kind_flag: type.kindFlag,
        words: type.words,
      }
  }
}

function attribute(isAttribute: boolean): Readonly<Record<string, Json>> {
  return isAttribute ? { kind_flag: true } : {}
}

type Json = string | number | bigint | boolean | readonly Json[] | { readonly [key: string]: Json }

/** JSON with bigints as plain numbers, which JSON.stringify refuses. */
function json(value: Json): string {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object') return JSON.stringify(value)
  if (isList(value)) return `[${value.map(json).join(',')}]`
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${json(item)}`)
  return `{${entries.join(',')}}`
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}
