import { describeKernels, type KernelName } from './kernel-range.ts'
import type { CheckReason, KernelOnly, ObjectCheck, RelocationCheck } from './types.ts'

/** What objects came to on kernels that are interchangeable for relocation. */
export interface CheckResult {
  readonly kernels: readonly CheckedKernel[]
  readonly objects: readonly ObjectCheck[]
}

export interface CheckedKernel extends KernelName {
  /** Whether the kernel carries BTF itself; null where that is not known. */
  readonly hasOwnBtf: boolean | null
}

/** One thing that some kernels lack, and what comes of it. */
export interface Finding {
  readonly object: string
  /** Programs that it concerns in the same way; empty where the whole object is refused. */
  readonly programs: readonly string[]
  /** `task_struct.start_boottime`. */
  readonly subject: string
  readonly reason: CheckReason | 'no-kernel-btf'
  /** `refused`: the loader takes nothing of the object. */
  readonly effect: 'guarded' | 'fails' | 'refused'
  /** In few words, see {@link describeKernels}. */
  readonly where: string
  readonly kernels: readonly CheckedKernel[]
  /** Of a missing type: modules of such a kernel that have it. */
  readonly modules?: readonly string[]
}

interface Draft {
  readonly object: string
  /** Null where the whole object is concerned. */
  readonly program: string | null
  readonly subject: string
  readonly reason: Finding['reason']
  readonly effect: Finding['effect']
  readonly kernels: Set<CheckedKernel>
}

/** Findings over all kernels, those that fail first, in order of object, subject and program. */
export function summarize(
  results: readonly CheckResult[],
  kernelOnly: ReadonlyMap<string, readonly KernelOnly[]>,
): Finding[] {
  const all = results.flatMap(({ kernels }) => kernels)
  const drafts = new Map<string, Draft>()
  const add = (draft: Omit<Draft, 'kernels'>, kernels: readonly CheckedKernel[]): void => {
    const { object, program, subject, reason, effect } = draft
    const key = JSON.stringify([object, program, subject, reason, effect])
    const known = drafts.get(key) ?? { ...draft, kernels: new Set() }
    for (const kernel of kernels) known.kernels.add(kernel)
    drafts.set(key, known)
  }
  for (const { kernels, objects } of results) {
    for (const { name: object, programs, unused } of objects) {
      for (const { name: program, relocations } of programs) {
        for (const draft of ofProgram(relocations)) add({ object, program, ...draft }, kernels)
      }
      const refusing = [...programs.flatMap(({ relocations }) => relocations), ...unused]
      for (const { subject, reason, refusesObject } of refusing) {
        if (refusesObject && reason !== null)
          add({ object, program: null, subject, reason, effect: 'refused' }, kernels)
      }
      const without = kernels.filter(({ hasOwnBtf }) => hasOwnBtf === false)
      if (without.length === 0) continue
      for (const { name, what } of kernelOnly.get(object) ?? []) {
        add({ object, program: name, subject: what, reason: 'no-kernel-btf', effect: 'fails' }, without)
      }
    }
  }
  return merge([...drafts.values()], all)
}

/** What fails somewhere in a program fails it, whatever guards the same thing elsewhere in it. */
function ofProgram(
  relocations: readonly RelocationCheck[],
): { subject: string; reason: CheckReason; effect: 'guarded' | 'fails' }[] {
  const worst = new Map<string, { subject: string; reason: CheckReason; effect: 'guarded' | 'fails' }>()
  for (const { subject, reason, verdict, refusesObject } of relocations) {
    if (reason === null || refusesObject || (verdict !== 'guarded' && verdict !== 'fails')) continue
    const key = `${subject} ${reason}`
    if (worst.get(key)?.effect !== 'fails') worst.set(key, { subject, reason, effect: verdict })
  }
  return [...worst.values()]
}

const EFFECTS = ['refused', 'fails', 'guarded'] as const

/** Programs that lack the same on the same kernels become one finding. */
function merge(drafts: readonly Draft[], all: readonly CheckedKernel[]): Finding[] {
  const numbers = new Map(all.map((kernel, i) => [kernel, i]))
  const findings = new Map<string, Finding & { programs: string[] }>()
  for (const { object, program, subject, reason, effect, kernels } of drafts) {
    const ids = [...kernels].map((kernel) => numbers.get(kernel))
    const key = JSON.stringify([object, subject, reason, effect, ids])
    const known = findings.get(key)
    if (known !== undefined && program !== null) known.programs.push(program)
    if (known !== undefined) continue
    findings.set(key, {
      object,
      programs: program === null ? [] : [program],
      subject,
      reason,
      effect,
      where: describeKernels(kernels, all),
      kernels: [...kernels],
    })
  }
  return [...findings.values()].sort(
    (a, b) =>
      EFFECTS.indexOf(a.effect) - EFFECTS.indexOf(b.effect) ||
      compareText(a.object, b.object) ||
      compareText(a.subject, b.subject),
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

const IN_WORDS: Readonly<Record<Finding['reason'], string>> = {
  'missing-type': 'missing',
  'missing-member': 'missing',
  'missing-enumerator': 'missing',
  incompatible: 'of another shape',
  ambiguous: 'ambiguous',
  invalid: 'invalid in the object',
  'no-kernel-btf': 'impossible on kernels without BTF of their own,',
}

/** `bpf_iter__task missing before 5.8: program dump_task will not load`. */
export function formatFinding({ programs, subject, reason, effect, where, modules = [] }: Finding): string {
  const names = programs.join(', ')
  const consequence = {
    guarded: `guarded in ${names}`,
    fails: `${programs.length === 1 ? 'program' : 'programs'} ${names} will not load`,
    refused: 'the whole object is refused',
  }[effect]
  const needs = modules.length === 0 ? '' : ` (a type of module ${modules.join(', ')}: needs merged BTF)`
  return `${subject} ${IN_WORDS[reason]} ${where}: ${consequence}${needs}`
}
