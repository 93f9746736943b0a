import { type Btf, BtfError, essentialName, Kind, sizeOf } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { fieldsAreCompatible } from './fields-compat.ts'
import type { KernelView } from './kernel-view.ts'
import { type Accessor, isFlexible, type LocalSpec } from './local-spec.ts'
import { isComposite, ReloKind } from './relocation-kind.ts'
import type { StepBudget } from './step-budget.ts'
import { typesAreCompatible } from './types-compat.ts'
import { typesMatch } from './types-match.ts'

/** What a relocation asks, found in a kernel's type. */
export interface TargetSpec {
  readonly rootId: number
  /** The last turning point, from which values are computed; null for type relocations. */
  readonly leaf: Accessor | null
  /** Of the field, from the root's start; wraps at 32 bits as in libbpf. */
  readonly offsetBits: number
  /** Member and element numbers, anonymous members included: `0:1:2`. */
  readonly path: readonly number[]
}

/** Why a relocation finds nothing. `at` names the type, member or enumerator, or the element's number. */
export interface Mismatch {
  readonly why: 'no-type' | 'no-member' | 'other-type' | 'out-of-bounds' | 'no-enumerator' | 'other-width'
  readonly at: string
}

export type MatchResult =
  | { readonly kind: 'match'; readonly spec: TargetSpec }
  | { readonly kind: 'mismatch'; readonly mismatch: Mismatch }
  /** libbpf ends the load. */
  | { readonly kind: 'error'; readonly problem: string }

/**
 * Looks for what a relocation asks in one candidate. Follows bpf_core_spec_match of libbpf (relo_core.c). The
 * candidate's own kind is not looked at: that is the candidates' filter. Throws MinimizeError `LIMIT` when `budget` is
 * used up, BtfError where the kernel's types contradict themselves.
 */
export function matchCandidate(
  local: Btf,
  spec: LocalSpec,
  kind: number,
  view: KernelView,
  candidateId: number,
  budget: StepBudget,
): MatchResult {
  switch (spec.class) {
    case 'field':
      return matchField(local, spec, view, candidateId)
    case 'enumval':
      return matchEnumerator(spec, view, candidateId)
    case 'type':
      return matchType(local, spec, kind, view, candidateId, budget)
  }
}

function matchType(
  local: Btf,
  spec: LocalSpec,
  kind: number,
  view: KernelView,
  rootId: number,
  budget: StepBudget,
): MatchResult {
  const compare = kind === ReloKind.TYPE_MATCHES ? typesMatch : typesAreCompatible
  switch (compare(local, spec.rootId, view.btf, rootId, budget)) {
    case 'yes':
      return { kind: 'match', spec: { rootId, leaf: null, offsetBits: 0, path: [] } }
    case 'no':
      return mismatch('other-type', spec.rootName)
    case 'too-deep':
      return { kind: 'error', problem: `${spec.rootName} nests deeper than loaders follow` }
  }
}

function matchEnumerator(spec: LocalSpec, view: KernelView, rootId: number): MatchResult {
  const { btf } = view
  const wanted = spec.accessors[0]?.name ?? ''
  const typeId = view.strip(rootId)
  const kind = btf.kind(typeId)
  if (kind !== Kind.ENUM && kind !== Kind.ENUM64) return mismatch('other-type', spec.rootName)
  const index = findEnumerator(btf, typeId, (name) => essentialName(name) === essentialName(wanted))
  if (index === null) return mismatch('no-enumerator', wanted)
  const leaf = { typeId, index, name: wanted }
  return { kind: 'match', spec: { rootId, leaf, offsetBits: 0, path: [index] } }
}

/** Number of the first enumerator whose name is accepted; null where there is none. */
export function findEnumerator(btf: Btf, enumId: number, accept: (name: string) => boolean): number | null {
  const step = btf.kind(enumId) === Kind.ENUM64 ? 3 : 2
  const count = btf.vlen(enumId)
  for (let index = 0; index < count; index++) {
    if (accept(btf.nameAt(enumId, btf.word(enumId, 3 + index * step)))) return index
  }
  return null
}

function matchField(local: Btf, spec: LocalSpec, view: KernelView, rootId: number): MatchResult {
  const { btf } = view
  const path: number[] = []
  let last: Accessor | undefined
  let at = rootId
  let offsetBits = 0
  for (const [i, accessor] of spec.accessors.entries()) {
    at = view.strip(at)
    if (accessor.name !== null) {
      const found = isComposite(btf.kind(at)) ? view.member(at, accessor.name) : null
      if (found === null) return mismatch('no-member', accessor.name)
      const localMemberType = local.word(accessor.typeId, 4 + accessor.index * 3)
      if (!fieldsAreCompatible(local, localMemberType, btf, found.typeId)) {
        return mismatch('other-type', accessor.name)
      }
      const member = found.steps[found.steps.length - 1] as (typeof found.steps)[number]
      for (const step of found.steps) path.push(step.index)
      last = { typeId: member.structId, index: member.index, name: accessor.name }
      offsetBits += found.offsetBits
      at = found.typeId
    } else {
      if (i > 0) {
        if (btf.kind(at) !== Kind.ARRAY) return mismatch('other-type', `element ${accessor.index}`)
        const length = btf.word(at, 5)
        if (accessor.index >= length && !isFlexible(btf, last, length)) {
          return mismatch('out-of-bounds', `element ${accessor.index}`)
        }
        at = view.strip(btf.word(at, 3))
      }
      const bytes = sizeOrNull(btf, at, view.pointerBytes)
      if (bytes === null) return { kind: 'error', problem: `${spec.rootName}: an element without size` }
      path.push(accessor.index)
      last = { typeId: at, index: accessor.index, name: null }
      offsetBits += accessor.index * bytes * 8
    }
    if (path.length > limits.object.maxAccessParts) {
      return { kind: 'error', problem: `${spec.rootName}: nested deeper than loaders follow` }
    }
  }
  return { kind: 'match', spec: { rootId, leaf: last ?? null, offsetBits: offsetBits % 2 ** 32, path } }
}

/** Size in bytes; null where libbpf's btf__resolve_size gives an error. */
export function sizeOrNull(btf: Btf, id: number, pointerBytes: number): number | null {
  try {
    return sizeOf(btf, id, pointerBytes)
  } catch (err) {
    if (err instanceof BtfError) return null
    throw err
  }
}

function mismatch(why: Mismatch['why'], at: string): MatchResult {
  return { kind: 'mismatch', mismatch: { why, at } }
}
