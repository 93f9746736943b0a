import type { Btf } from './btf.ts'
import { encodingWord, kindWord, linkageWord, nameWord } from './raw-words.ts'
import type { BtfEnumerator, BtfMember, BtfType } from './types.ts'

/**
 * The text of `bpftool btf dump … format raw`, line by line, without newlines: a type's line, then one for each member,
 * value, parameter or variable. Of split BTF, its own types. Throws BtfError `MALFORMED` at the first name or variable
 * that is not there.
 */
export function* formatRaw(btf: Btf): Generator<string> {
  for (let id = btf.firstId; id < btf.idCount; id++) yield* formatRawType(btf, id)
}

/** The lines of one type. Throws BtfError `MALFORMED`. */
export function* formatRawType(btf: Btf, id: number): Generator<string> {
  const type = btf.type(id)
  const kind = kindWord(type.kind, type.kind === 'unknown' ? type.kindNumber : undefined)
  yield `[${id}] ${kind} ${quoted(type.name)}${fields(type)}`
  yield* details(btf, type)
}

function fields(type: BtfType): string {
  switch (type.kind) {
    case 'void':
      return ''
    case 'int':
      return ` size=${type.sizeBytes} bits_offset=${type.offsetBits} nr_bits=${type.bits} encoding=${encodingWord(type.encoding)}`
    case 'ptr':
    case 'volatile':
    case 'const':
    case 'restrict':
    case 'typedef':
    case 'type_tag':
      return ` type_id=${type.typeId}`
    case 'array':
      return ` type_id=${type.typeId} index_type_id=${type.indexTypeId} nr_elems=${type.length}`
    case 'struct':
    case 'union':
      return ` size=${type.sizeBytes} vlen=${type.members.length}`
    case 'enum':
    case 'enum64':
      return ` encoding=${type.isSigned ? 'SIGNED' : 'UNSIGNED'} size=${type.sizeBytes} vlen=${type.values.length}`
    case 'fwd':
      return ` fwd_kind=${type.isUnion ? 'union' : 'struct'}`
    case 'func':
      return ` type_id=${type.typeId} linkage=${linkageWord(type.linkage)}`
    case 'func_proto':
      return ` ret_type_id=${type.typeId} vlen=${type.params.length}`
    case 'var':
      return ` type_id=${type.typeId}, linkage=${linkageWord(type.linkage)}`
    case 'datasec':
      return ` size=${type.sizeBytes} vlen=${type.vars.length}`
    case 'float':
      return ` size=${type.sizeBytes}`
    case 'decl_tag':
      return ` type_id=${type.typeId} component_idx=${type.componentIndex}`
    case 'unknown':
      return ` size_or_type=${type.sizeOrType} vlen=${type.vlen} kind_flag=${type.kindFlag ? 1 : 0} words=${type.words.join(',')}`
  }
}

function* details(btf: Btf, type: BtfType): Generator<string> {
  switch (type.kind) {
    case 'struct':
    case 'union':
      for (const member of type.members) yield `\t${memberText(member)}`
      return
    case 'enum':
      for (const { name, value } of type.values) yield `\t${quoted(name)} val=${value}`
      return
    case 'enum64':
      for (const value of type.values) yield `\t${enum64Text(value, type.isSigned)}`
      return
    case 'func_proto':
      for (const param of type.params) yield `\t${quoted(param.name)} type_id=${param.typeId}`
      return
    case 'datasec':
      for (const { typeId, offset, sizeBytes } of type.vars) {
        const target = btf.type(typeId)
        yield `\ttype_id=${typeId} offset=${offset} size=${sizeBytes} (${kindWord(target.kind)} ${quoted(target.name)})`
      }
      return
    default:
      return
  }
}

function memberText(member: BtfMember): string {
  const bitfield = member.bitfieldBits === 0 ? '' : ` bitfield_size=${member.bitfieldBits}`
  return `${quoted(member.name)} type_id=${member.typeId} bits_offset=${member.offsetBits}${bitfield}`
}

function enum64Text({ name, value }: BtfEnumerator, isSigned: boolean): string {
  return `${quoted(name)} val=${value}${isSigned ? 'LL' : 'ULL'}`
}

function quoted(name: string): string {
  return `'${nameWord(name)}'`
}
