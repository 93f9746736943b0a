import type { Btf, TypeChange } from '../../btf/index.ts'

/** Why DWARF can say another thing than the BTF that a kernel carries; each is explained in `docs/dwarf.md`. */
export const REASONS = ['sign', 'width'] as const
export type Reason = (typeof REASONS)[number]

/**
 * Why a type differs from what the kernel's own BTF (`from`) has; null where nothing is known that would explain it:
 * `sign`, constants whose lowest 32 bits were all that BTF could say; `width`, those that need more of them.
 */
export function reasonFor(change: TypeChange): Reason | null {
  if (change.change !== 'changed' || change.kind !== 'enum') return null
  const { from, to, values } = change
  if (from.sizeBytes !== to.sizeBytes || values.length === 0) return null
  const isSame = values.every(
    (value) =>
      value.from !== null &&
      value.to !== null &&
      BigInt.asUintN(32, value.from) === BigInt.asUintN(32, value.to),
  )
  if (!isSame) return null
  return values.every(({ to: now }) => now !== null && BigInt.asIntN(32, now) === now) ? 'sign' : 'width'
}

/** What a BTF has of types that relocations look into, by name. */
export interface Compared {
  /** Structs and unions. */
  readonly structs: number
  readonly members: number
  readonly enums: number
  readonly typedefs: number
}

/** Counts what has a name, each of several definitions of one name too. */
export function countCompared(btf: Btf): Compared {
  const counts = { structs: 0, members: 0, enums: 0, typedefs: 0 }
  for (let id = 1; id < btf.idCount; id++) {
    const type = btf.type(id)
    if (type.kind === 'typedef') counts.typedefs++
    if (btf.nameOffset(id) === 0) continue
    if (type.kind === 'enum' || type.kind === 'enum64') counts.enums++
    if (type.kind !== 'struct' && type.kind !== 'union') continue
    counts.structs++
    counts.members += type.members.length
  }
  return counts
}
