import { essentialName } from '../btf/index.ts'
import { instructionTakes } from './instruction.ts'
import type { KernelView } from './kernel-view.ts'
import { matchCandidate, type MatchResult, type Mismatch, type TargetSpec } from './match.ts'
import {
  type CandidateMatch,
  failed,
  type FailureReason,
  type Outcome,
  type Resolution,
  unanswered,
} from './outcome.ts'
import type { PreparedObject, Question } from './prepare.ts'
import { coreKind, ReloKind } from './relocation-kind.ts'
import { relocationValue, type ReloValue, type ValueResult } from './relocation-value.ts'
import { StepBudget } from './step-budget.ts'

/**
 * Applies all relocations of an object to a kernel's types, in order and with libbpf's rules
 * (bpf_core_calc_relo_insn of relo_core.c): every relocation that some candidates of its root type match narrows them
 * down to those for later ones. All programs count as loaded. Throws MinimizeError `LIMIT`, BtfError where the
 * kernel's types contradict themselves.
 */
export function resolveObject(prepared: PreparedObject, view: KernelView): Resolution[] {
  const resolver = new ObjectResolver(prepared, view)
  return prepared.relocations.map(({ relocation, question }) => {
    if ('problem' in question)
      return { relocation, local: null, matches: [], outcome: failed('invalid', question.problem) }
    const { local } = question
    const { outcome, matches } = resolver.resolve(question)
    return { relocation, local, matches, outcome: instructionTakes(relocation.opcode, local, outcome) }
  })
}

/** What a question's candidates say, before the instruction is looked at. */
interface Answer {
  readonly outcome: Outcome
  readonly matches: readonly CandidateMatch[]
  /** The candidates that are left for later questions about the same root. */
  readonly left: CandidateList
}

/** The candidates of a root type that libbpf still considers, and what they answered so far. */
interface CandidateList {
  readonly ids: readonly number[]
  readonly answers: Map<Question, Answer>
}

class ObjectResolver {
  readonly #prepared: PreparedObject
  readonly #view: KernelView
  readonly #budget = new StepBudget()
  readonly #all = new Map<number, readonly number[]>()
  readonly #left = new Map<number, CandidateList>()
  readonly #places = new Map<number, ReadonlyMap<number, MatchResult>>()

  constructor(prepared: PreparedObject, view: KernelView) {
    this.#prepared = prepared
    this.#view = view
  }

  resolve(question: Question): Answer {
    const { rootId } = question.spec
    if (question.kind === ReloKind.TYPE_ID_LOCAL) {
      return { outcome: { status: 'resolved', ...question.local }, matches: [], left: list([]) }
    }
    const candidates = this.#left.get(rootId) ?? list(this.#candidates(question))
    let answer = candidates.answers.get(question)
    if (answer === undefined) {
      answer = this.#judge(question, candidates)
      candidates.answers.set(question, answer)
    }
    this.#left.set(rootId, answer.left)
    return answer
  }

  /** All the kernel's types of the right kind and name. */
  #candidates({ spec }: Question): readonly number[] {
    let ids = this.#all.get(spec.rootId)
    if (ids === undefined) {
      const kind = coreKind(this.#prepared.btf?.kind(spec.rootId) ?? 0)
      ids = this.#view
        .idsByEssentialName(essentialName(spec.rootName))
        .filter((id) => coreKind(this.#view.btf.kind(id)) === kind)
      this.#all.set(spec.rootId, ids)
    }
    return ids
  }

  /** What each of them has at the place that is asked for. */
  #matchAll(question: Question): ReadonlyMap<number, MatchResult> {
    const known = this.#places.get(question.place)
    if (known !== undefined) return known
    const results = new Map<number, MatchResult>()
    const { btf } = this.#prepared
    if (btf !== null) {
      for (const id of this.#candidates(question)) {
        results.set(id, matchCandidate(btf, question.spec, question.kind, this.#view, id, this.#budget))
      }
    }
    this.#places.set(question.place, results)
    return results
  }

  #judge(question: Question, candidates: CandidateList): Answer {
    const results = this.#matchAll(question)
    const matches: CandidateMatch[] = []
    for (const result of results.values()) {
      if (result.kind !== 'match') continue
      const value = this.#valueOf(question, result.spec)
      matches.push({ ...result.spec, value: value.ok ? value.value.value : null })
    }
    const fail = (reason: FailureReason, problem: string): Answer => ({
      outcome: failed(reason, problem),
      matches,
      left: candidates,
    })
    let first: { readonly spec: TargetSpec; readonly value: ReloValue } | null = null
    let because: Mismatch = { why: 'no-type', at: question.spec.rootName }
    const fitting: number[] = []
    for (const id of candidates.ids) {
      const result = results.get(id)
      if (result === undefined) continue
      if (result.kind === 'error') return fail('unreadable', result.problem)
      if (result.kind === 'mismatch') {
        because = result.mismatch
        continue
      }
      const computed = this.#valueOf(question, result.spec)
      if (!computed.ok) return fail('unreadable', computed.problem)
      first ??= { spec: result.spec, value: computed.value }
      if (first.spec.offsetBits !== result.spec.offsetBits || first.value.value !== computed.value.value) {
        return fail('ambiguous', `types called ${question.spec.rootName} disagree`)
      }
      fitting.push(id)
    }
    if (first === null) return { outcome: unanswered(question.kind, because), matches, left: candidates }
    const left = fitting.length === candidates.ids.length ? candidates : list(fitting)
    return { outcome: { status: 'resolved', ...first.value }, matches, left }
  }

  #valueOf(question: Question, spec: TargetSpec): ValueResult {
    const { btf, pointerBytes } = this.#view
    return relocationValue(question.kind, { btf, pointerBytes, ...spec })
  }
}

function list(ids: readonly number[]): CandidateList {
  return { ids, answers: new Map<Question, Answer>() }
}
