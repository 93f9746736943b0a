import { type Btf, essentialName, Kind, skipModifiersAndTypedefs } from '../btf/index.ts'
import type { KernelView } from './kernel-view.ts'
import type { Marks } from './marks.ts'
import { isComposite } from './relocation-kind.ts'
import type { StepBudget } from './step-budget.ts'

/**
 * Keeps what TYPE_MATCHES may look at in a candidate, whether it matches or not: with less, a candidate that does not
 * match the whole type could begin to match what is left of it. Two parts:
 *
 * - the type by value, whole: every member, and theirs; structs behind pointers without members. That is what libbpf
 *   sees, and what bpftool keeps.
 * - what is reached by following the object's type and the kernel's side by side, through pointers as well: that is
 *   how cilium/ebpf compares.
 */
export function markMatch(
  view: KernelView,
  marks: Marks,
  local: Btf,
  localId: number,
  candidateId: number,
  budget: StepBudget,
): void {
  keepByValue(view, marks, candidateId, budget)
  keepSideBySide(view, marks, local, localId, candidateId, budget)
}

function keepByValue(view: KernelView, marks: Marks, rootId: number, budget: StepBudget): void {
  const { btf } = view
  const seen = new Set<number>()
  // The lowest bit tells whether a pointer was followed to get there.
  const pending = [rootId * 2]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next)) continue
    seen.add(next)
    budget.spend()
    const isBehindPointer = next % 2
    const rawId = Math.floor(next / 2)
    marks.keep(rawId)
    const id = view.strip(rawId)
    const kind = btf.kind(id)
    if (isComposite(kind) && !isBehindPointer) {
      for (let i = 0; i < btf.vlen(id); i++) {
        marks.keepMember(id, i)
        pending.push(btf.word(id, 4 + i * 3) * 2)
      }
    } else if (kind === Kind.PTR) {
      pending.push(btf.sizeOrType(id) * 2 + 1)
    } else if (kind === Kind.ARRAY) {
      pending.push(btf.word(id, 3) * 2)
    } else if (kind === Kind.FUNC_PROTO) {
      pending.push(btf.sizeOrType(id) * 2)
      for (let i = 0; i < btf.vlen(id); i++) pending.push(btf.word(id, 4 + i * 2) * 2)
    }
  }
}

function keepSideBySide(
  view: KernelView,
  marks: Marks,
  local: Btf,
  localId: number,
  candidateId: number,
  budget: StepBudget,
): void {
  const { btf } = view
  const seen = new Set<number>()
  const pending: [number, number][] = [[localId, candidateId]]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [rawLocal, rawTarget] = next
    marks.keep(rawTarget)
    const l = skipModifiersAndTypedefs(local, rawLocal)
    const t = view.strip(rawTarget)
    const key = l * btf.idCount + t
    if (seen.has(key)) continue
    seen.add(key)
    budget.spend()
    const [localKind, kind] = [local.kind(l), btf.kind(t)]
    if (isComposite(localKind) && isComposite(kind)) {
      pending.push(...keepNamesakes(view, marks, local, l, t, budget))
    } else if (localKind !== kind) {
      continue
    } else if (kind === Kind.PTR) {
      pending.push([local.sizeOrType(l), btf.sizeOrType(t)])
    } else if (kind === Kind.ARRAY) {
      pending.push([local.word(l, 3), btf.word(t, 3)])
    } else if (kind === Kind.FUNC_PROTO) {
      pending.push([local.sizeOrType(l), btf.sizeOrType(t)])
      const shared = Math.min(local.vlen(l), btf.vlen(t))
      for (let i = 0; i < shared; i++) pending.push([local.word(l, 4 + i * 2), btf.word(t, 4 + i * 2)])
    }
  }
}

/** Keeps the kernel's members that some member of the object's type is compared with; gives their types, in pairs. */
function keepNamesakes(
  view: KernelView,
  marks: Marks,
  local: Btf,
  l: number,
  t: number,
  budget: StepBudget,
): [number, number][] {
  const { btf } = view
  const byName = new Map<string, number[]>()
  for (let i = 0; i < btf.vlen(t); i++) {
    budget.spend()
    const name = essentialName(btf.nameAt(t, btf.word(t, 3 + i * 3)))
    const namesakes = byName.get(name)
    if (namesakes === undefined) byName.set(name, [i])
    else namesakes.push(i)
  }
  const pairs: [number, number][] = []
  for (let i = 0; i < local.vlen(l); i++) {
    budget.spend()
    for (const index of byName.get(essentialName(local.nameAt(l, local.word(l, 3 + i * 3)))) ?? []) {
      marks.keepMember(t, index)
      pairs.push([local.word(l, 4 + i * 3), btf.word(t, 4 + index * 3)])
    }
  }
  // Loaders first compare the numbers of members: there must stay as many as the object's type has, or all.
  const wanted = Math.min(local.vlen(l), btf.vlen(t))
  for (let i = 0; marks.memberCount(t) < wanted; i++) marks.keepMember(t, i)
  return pairs
}
