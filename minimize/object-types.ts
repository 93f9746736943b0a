import { type Btf, BtfError, type BtfType, checkCycles } from '../btf/index.ts'

/**
 * Checks that an object's own types refer only to names and types that are there, and are no part of themselves. As
 * little as libbpf asks (btf_sanity_check in btf.c), and less than the kernel: loaders mend what it would refuse, such
 * as `extern void` symbols and empty sections. Throws BtfError `MALFORMED` with the id of the first type that does not.
 */
export function checkObjectTypes(btf: Btf): void {
  for (let id = btf.firstId; id < btf.idCount; id++) {
    for (const ref of references(btf.type(id))) {
      if (btf.has(ref)) continue
      throw new BtfError(
        'MALFORMED',
        `type id ${id} at byte ${btf.byteOffset(id)}: refers to type ${ref}, the last is ${btf.idCount - 1}`,
      )
    }
  }
  checkCycles(btf)
}

function references(type: BtfType): number[] {
  switch (type.kind) {
    case 'struct':
    case 'union':
      return type.members.map((member) => member.typeId)
    case 'array':
      return [type.typeId, type.indexTypeId]
    case 'func_proto':
      return [type.typeId, ...type.params.map((param) => param.typeId)]
    case 'datasec':
      return type.vars.map((variable) => variable.typeId)
    case 'void':
    case 'int':
    case 'enum':
    case 'enum64':
    case 'fwd':
    case 'float':
    case 'unknown':
      return []
    default:
      return [type.typeId]
  }
}
