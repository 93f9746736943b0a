import { type Btf, essentialName, Kind, skipModifiersAndTypedefs } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { coreKind, isComposite } from './relocation-kind.ts'

/** INT's own bit offset, which only the oldest compilers wrote, for bitfields. */
export function intOffsetBits(btf: Btf, id: number): number {
  return (btf.word(id, 3) >>> 16) & 0xff
}

/**
 * Whether a member's type in the object may stand for that of the kernel. Follows bpf_core_fields_are_compat of
 * libbpf (relo_core.c).
 */
export function fieldsAreCompatible(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  let [l, t] = [localId, targetId]
  for (let depth = 0; depth <= limits.btf.maxDepth; depth++) {
    l = skipModifiersAndTypedefs(local, l)
    t = skipModifiersAndTypedefs(target, t)
    const [localKind, targetKind] = [local.kind(l), target.kind(t)]
    if (isComposite(localKind) && isComposite(targetKind)) return true
    if (coreKind(localKind) !== coreKind(targetKind)) return false
    switch (localKind) {
      case Kind.PTR:
      case Kind.FLOAT:
        return true
      case Kind.FWD:
      case Kind.ENUM:
      case Kind.ENUM64: {
        const [localName, targetName] = [essentialName(local.name(l)), essentialName(target.name(t))]
        return localName === '' || targetName === '' || localName === targetName
      }
      case Kind.INT:
        return intOffsetBits(local, l) === 0 && intOffsetBits(target, t) === 0
      case Kind.ARRAY:
        l = local.word(l, 3)
        t = target.word(t, 3)
        break
      default:
        return false
    }
  }
  // Arrays of themselves, which nothing can be.
  return false
}
