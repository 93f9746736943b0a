import { type Btf, Kind, skipModifiersAndTypedefs } from '../btf/index.ts'
import type { StepBudget } from './step-budget.ts'
import { intOffsetBits } from './fields-compat.ts'
import { coreKind } from './relocation-kind.ts'

/** Yes, no, or what libbpf answers with an error that ends the load: nested too deep. */
export type Verdict = 'yes' | 'no' | 'too-deep'

/** Steps through pointers and arrays in a row, and nested function types: libbpf's numbers. */
export const MAX_CHAIN = 32
export const MAX_LEVEL = 32

/**
 * Whether a type of the object is what the kernel has: for TYPE_EXISTS, TYPE_SIZE and TYPE_ID_TARGET. Below the root,
 * names do not count. Follows __bpf_core_types_are_compat of libbpf (relo_core.c). A function type that comes back to
 * itself is looked at once per level, not once per path.
 */
export function typesAreCompatible(
  local: Btf,
  localId: number,
  target: Btf,
  targetId: number,
  budget: StepBudget,
): Verdict {
  const known = new Map<number, Verdict>()

  const compare = (rootLocal: number, rootTarget: number, level: number): Verdict => {
    const key = (rootLocal * target.idCount + rootTarget) * (MAX_LEVEL + 1) + level
    let verdict = known.get(key)
    if (verdict === undefined) {
      verdict = walk(rootLocal, rootTarget, level)
      known.set(key, verdict)
    }
    return verdict
  }

  const walk = (rootLocal: number, rootTarget: number, level: number): Verdict => {
    if (coreKind(local.kind(rootLocal)) !== coreKind(target.kind(rootTarget))) return 'no'
    let [l, t] = [rootLocal, rootTarget]
    for (let step = 0; step < MAX_CHAIN; step++) {
      budget.spend()
      l = skipModifiersAndTypedefs(local, l)
      t = skipModifiersAndTypedefs(target, t)
      const kind = local.kind(l)
      if (coreKind(kind) !== coreKind(target.kind(t))) return 'no'
      switch (kind) {
        case Kind.UNKN:
        case Kind.STRUCT:
        case Kind.UNION:
        case Kind.ENUM:
        case Kind.ENUM64:
        case Kind.FWD:
          return 'yes'
        case Kind.INT:
          return intOffsetBits(local, l) === 0 && intOffsetBits(target, t) === 0 ? 'yes' : 'no'
        case Kind.PTR:
          l = local.sizeOrType(l)
          t = target.sizeOrType(t)
          break
        case Kind.ARRAY:
          l = local.word(l, 3)
          t = target.word(t, 3)
          break
        case Kind.FUNC_PROTO: {
          const count = local.vlen(l)
          if (count !== target.vlen(t)) return 'no'
          for (let i = 0; i < count; i++) {
            if (level <= 0) return 'too-deep'
            const verdict = compare(
              skipModifiersAndTypedefs(local, local.word(l, 4 + i * 2)),
              skipModifiersAndTypedefs(target, target.word(t, 4 + i * 2)),
              level - 1,
            )
            if (verdict !== 'yes') return verdict
          }
          l = local.sizeOrType(l)
          t = target.sizeOrType(t)
          break
        }
        default:
          // FLOAT and what has no layout: libbpf warns and finds no match.
          return 'no'
      }
    }
    return 'too-deep'
  }

  return compare(localId, targetId, MAX_LEVEL)
}
