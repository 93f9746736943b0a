import type { Btf } from './btf.ts'
import { BtfWriter, encodeType } from './encode.ts'
import { BtfError } from './errors.ts'
import type { BtfEnumerator, BtfType } from './types.ts'
import { Kind } from './wire.ts'

/**
 * What a reader of old knows, named after the libbpf that it is: `0.3` and before nothing behind DATASEC, `0.4` FLOAT,
 * `0.6` DECL_TAG and TYPE_TAG, `1.0` ENUM64. None of them knows a layout section, more than 65535 elements, or tags
 * that are attributes.
 */
export type CompatLevel = keyof typeof HIGHEST_KIND

const HIGHEST_KIND = {
  '0.3': Kind.DATASEC,
  '0.4': Kind.FLOAT,
  '0.6': Kind.TYPE_TAG,
  '1.0': Kind.ENUM64,
} as const
export const COMPAT_LEVELS = Object.keys(HIGHEST_KIND) as readonly CompatLevel[]

/** The most elements that `info` had room for before Linux 7.1. */
const OLD_MAX_VLEN = 0xffff

/**
 * The same BTF for old readers: every type keeps its id, kinds above the level become what libbpf's own sanitizing
 * makes of them for old kernels (bpf_object__sanitize_btf): FLOAT an empty struct of its size, TYPE_TAG a const,
 * DECL_TAG and what nobody knows a nameless int. ENUM64 becomes an ENUM of its size, other than libbpf's union, so
 * that relocations of types and values stay what they are; values beyond 32 bits are left out, as any would be a wrong
 * one. The header has 24 bytes.
 *
 * Throws BtfError `NEEDS_BASE` for split BTF, `UNSUPPORTED` for structs and prototypes of more than 65535 elements.
 */
export function lowerBtf(btf: Btf, level: CompatLevel): Uint8Array {
  if (btf.base !== null)
    throw new BtfError('NEEDS_BASE', 'split BTF: an old reader knows none, merge it first')
  const writer = new BtfWriter()
  for (let id = 1; id < btf.idCount; id++) encodeType(writer, lowerType(btf.type(id), HIGHEST_KIND[level]))
  return writer.finish(btf.endian)
}

function lowerType(type: BtfType, highest: number): BtfType {
  const { id } = type
  switch (type.kind) {
    case 'unknown':
      return nothing(id)
    case 'float':
      if (highest >= Kind.FLOAT) return type
      // Nameless: C has no `struct float`.
      return { id, name: '', kind: 'struct', sizeBytes: type.sizeBytes, members: [], hasBitfieldSizes: false }
    case 'decl_tag':
      return highest >= Kind.DECL_TAG && !type.isAttribute ? type : nothing(id)
    case 'type_tag':
      if (highest >= Kind.TYPE_TAG && !type.isAttribute) return type
      return { id, name: '', kind: 'const', typeId: type.typeId }
    case 'enum64':
      if (highest >= Kind.ENUM64) return { ...type, values: type.values.slice(0, OLD_MAX_VLEN) }
      return { ...type, kind: 'enum', values: narrow(type.values, type.isSigned).slice(0, OLD_MAX_VLEN) }
    case 'enum':
      return { ...type, values: type.values.slice(0, OLD_MAX_VLEN) }
    case 'datasec':
      return { ...type, vars: type.vars.slice(0, OLD_MAX_VLEN) }
    case 'struct':
    case 'union':
      return roomFor(type.members.length, type)
    case 'func_proto':
      return roomFor(type.params.length, type)
    default:
      return type
  }
}

/** What stands where nothing can: a type of its own that nobody asks for. */
function nothing(id: number): BtfType {
  return { id, name: '', kind: 'int', sizeBytes: 1, bits: 8, offsetBits: 0, encoding: 0 }
}

function narrow(values: readonly BtfEnumerator[], isSigned: boolean): readonly BtfEnumerator[] {
  const wrap = isSigned ? BigInt.asIntN : BigInt.asUintN
  return values.filter(({ value }) => wrap(32, value) === value)
}

function roomFor(count: number, type: BtfType): BtfType {
  if (count <= OLD_MAX_VLEN) return type
  throw new BtfError(
    'UNSUPPORTED',
    `type id ${type.id}: ${type.kind} ${type.name} has ${count} elements, old readers count to ${OLD_MAX_VLEN}`,
  )
}
