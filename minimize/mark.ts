import { Kind } from '../btf/index.ts'
import type { KernelView, MemberStep } from './kernel-view.ts'
import { Marks } from './marks.ts'
import { findEnumerator } from './match.ts'
import { markMatch } from './mark-match.ts'
import { flavorless, type Need, type NeedStep, shapeOf } from './need.ts'
import { longIntId } from './pointer-size.ts'
import { coreKind, isComposite } from './relocation-kind.ts'
import { StepBudget } from './step-budget.ts'

/**
 * Marks what a min BTF must keep so that every relocation has the outcome that it has on the whole BTF, with every
 * loader. The rule (docs/minimize.md has the argument): a candidate that any loader could match is kept with all that
 * a loader looks at; a candidate that none could match needs nothing. Throws MinimizeError `UNSUPPORTED` or `LIMIT`,
 * BtfError where the kernel's types contradict themselves.
 */
export function markNeeds(view: KernelView, needs: readonly Need[]): Marks {
  const marks = new Marks(view)
  const budget = new StepBudget()
  // Loaders learn from it how long the kernel's pointers are. It also keeps a BTF that nobody needs from being empty,
  // which libbpf before 0.2 refuses.
  const long = longIntId(view.btf)
  if (long !== null) marks.keep(long)
  view.expect([...new Set(needs.flatMap(({ names }) => names))])
  for (const need of needs) {
    for (const name of need.names) {
      for (const id of view.idsByEssentialName(name)) markCandidate(view, marks, need, id, budget)
    }
  }
  return marks
}

/** Candidates of every kind are looked at: cilium/ebpf takes a typedef for the struct that it names. */
function markCandidate(view: KernelView, marks: Marks, need: Need, id: number, budget: StepBudget): void {
  const { what } = need
  switch (what.kind) {
    case 'field':
      return markField(view, marks, what.steps, id)
    case 'enumerator':
      return markEnum(view, marks, what.names, id)
    case 'type':
      if (rootKind(view, id) === what.rootKind) marks.keepFollowing(id)
      return
    case 'match':
      if (need.local !== null && rootKind(view, id) === what.rootKind) {
        markMatch(view, marks, need.local, what.typeId, id, budget)
      }
  }
}

function rootKind(view: KernelView, id: number): number {
  return coreKind(view.btf.kind(view.strip(id)))
}

/** Keeps the way to a field, where there is one to the end whose types could be compatible. */
function markField(view: KernelView, marks: Marks, steps: readonly NeedStep[], rootId: number): void {
  const { btf } = view
  const path: MemberStep[] = []
  let at = rootId
  for (const step of steps) {
    at = view.strip(at)
    if (step.name !== null) {
      const found = isComposite(btf.kind(at)) ? view.member(at, step.name) : null
      if (found === null || shapeOf(btf, found.typeId) !== step.shape) return
      path.push(...found.steps)
      at = found.typeId
    } else {
      if (btf.kind(at) !== Kind.ARRAY) return
      const length = btf.word(at, 5)
      if (length > 0 && step.index >= length) return
      at = btf.word(at, 3)
    }
  }
  marks.keep(rootId)
  for (const { structId, index } of path) marks.keepMember(structId, index)
}

/** Keeps an enum, whole, where it has the enumerator under one of the names that loaders compare. */
function markEnum(view: KernelView, marks: Marks, names: readonly string[], rootId: number): void {
  const enumId = view.strip(rootId)
  if (coreKind(view.btf.kind(enumId)) !== Kind.ENUM) return
  const accept = (name: string): boolean =>
    names.includes(name) || (name.includes('___') && flavorless(name).some((each) => names.includes(each)))
  if (findEnumerator(view.btf, enumId, accept) !== null) marks.keep(rootId)
}
