import { essentialName } from '../../btf/index.ts'
import { parseBpfObject } from '../bpf-object.ts'
import type { KernelView } from '../kernel-view.ts'
import type { Mismatch } from '../match.ts'
import type { Outcome, Resolution } from '../outcome.ts'
import { type PreparedObject, type PreparedRelocation, prepareTool } from '../prepare.ts'
import { reloKindName } from '../relocation-kind.ts'
import { resolveObject } from '../resolve.ts'
import { INSN_BYTES } from './insn.ts'
import { kernelOnly } from './kernel-only.ts'
import { type CodeFunction, type ObjectCode, parseObjectCode } from './object-code.ts'
import { PatchedCode } from './patched-code.ts'
import { type Reach, reachOf } from './reach.ts'
import type { CheckReason, KernelOnly, ObjectCheck, ProgramCheck, RelocationCheck, Verdict } from './types.ts'

/** An object made ready to be checked on any number of kernels. */
export interface CheckedObject {
  readonly prepared: PreparedObject
  readonly code: ObjectCode
  /** For each of the code's programs, which of the object's relocations are in it or in what it calls. */
  readonly relocationsOf: readonly (readonly number[])[]
  /** What of it external BTF cannot serve. */
  readonly kernelOnly: readonly KernelOnly[]
}

/** Reads an object for {@link checkObject}. Throws as `parseBpfObject` does. */
export function prepareCheck(name: string, bytes: Uint8Array): CheckedObject {
  const object = parseBpfObject(name, bytes)
  const [prepared] = prepareTool([object]).objects
  if (prepared === undefined) throw new TypeError('prepareTool gives one for each object')
  const code = parseObjectCode(name, bytes)
  const byFunction = new Map<CodeFunction, number[]>()
  for (const [i, { section, insnOffset }] of object.relocations.entries()) {
    const holder = code.functionAt(section, insnOffset / INSN_BYTES)
    if (holder === null) continue
    const list = byFunction.get(holder)
    if (list === undefined) byFunction.set(holder, [i])
    else list.push(i)
  }
  const relocationsOf = code.programs.map((program) =>
    code
      .closure(program)
      .flatMap((each) => byFunction.get(each) ?? [])
      .sort((a, b) => a - b),
  )
  return { prepared, code, relocationsOf, kernelOnly: kernelOnly(object, code) }
}

/**
 * What each relocation of each program comes to on a kernel. A relocation without value is guarded in a program where
 * its instruction cannot be reached once all checks have their values; what cannot be shown to be unreachable is not.
 * Throws MinimizeError `LIMIT`, BtfError where the kernel's types contradict themselves.
 */
export function checkObject(checked: CheckedObject, view: KernelView): ObjectCheck {
  const { prepared, code, relocationsOf } = checked
  const resolutions = resolveObject(prepared, view)
  const patched = new PatchedCode(code, resolutions)
  const judgeAll = (numbers: readonly number[], reach: Reach): RelocationCheck[] =>
    numbers.flatMap((i) => {
      const resolution = resolutions[i]
      return resolution === undefined ? [] : [judge(prepared.relocations[i], resolution, reach)]
    })
  const programs = code.programs.map((program, i): ProgramCheck => {
    const own = relocationsOf[i] ?? []
    const isPoisoned = own.some((each) => resolutions[each]?.outcome.status === 'poisoned')
    const reach = isPoisoned ? reachOf(patched, program) : NOWHERE
    const { name, section } = program
    return { name, section, isOptional: section.startsWith('?'), relocations: judgeAll(own, reach) }
  })
  const used = new Set(relocationsOf.flat())
  const unused = [...resolutions.keys()].filter((i) => !used.has(i))
  return { name: prepared.object.name, programs, unused: judgeAll(unused, NOWHERE) }
}

const NOWHERE: Reach = () => false

function judge(
  prepared: PreparedRelocation | undefined,
  { relocation, outcome }: Resolution,
  reach: Reach,
): RelocationCheck {
  const { section, number, functionName, functionOffset, insnOffset } = relocation
  const { root, asks } = askedFor(prepared)
  const reason = reasonOf(outcome)
  return {
    section,
    number,
    functionName,
    functionOffset,
    kind: reloKindName(relocation.kind),
    asks,
    verdict: verdictOf(outcome, () => reach(section, insnOffset / INSN_BYTES)),
    value: outcome.status === 'resolved' ? outcome.value : outcome.status === 'absent' ? 0n : null,
    reason,
    subject: reason === null ? '' : reason === 'missing-type' ? root : asks,
    refusesObject: outcome.status === 'failed',
  }
}

function verdictOf(outcome: Outcome, isReached: () => boolean): Verdict {
  switch (outcome.status) {
    case 'resolved':
      return 'resolves'
    case 'absent':
      return 'absent'
    case 'poisoned':
      return isReached() ? 'fails' : 'guarded'
    case 'failed':
      return 'fails'
  }
}

const BY_MISMATCH: Readonly<Record<Mismatch['why'], CheckReason>> = {
  'no-type': 'missing-type',
  'no-member': 'missing-member',
  'no-enumerator': 'missing-enumerator',
  'other-type': 'incompatible',
  'out-of-bounds': 'incompatible',
  'other-width': 'incompatible',
}

function reasonOf(outcome: Outcome): CheckReason | null {
  switch (outcome.status) {
    case 'resolved':
      return null
    case 'absent':
    case 'poisoned':
      return BY_MISMATCH[outcome.because.why]
    case 'failed':
      return outcome.reason === 'ambiguous' || outcome.reason === 'invalid' ? outcome.reason : 'incompatible'
  }
}

/** A type, and the way to a field or enumerator of it, as a person would write it, flavors left out. */
function askedFor(prepared: PreparedRelocation | undefined): { root: string; asks: string } {
  if (prepared === undefined || 'problem' in prepared.question) {
    const text = prepared === undefined || !('problem' in prepared.question) ? '' : prepared.question.problem
    return { root: text, asks: text }
  }
  const { spec } = prepared.question
  const root = essentialName(spec.rootName)
  const steps = spec.class === 'field' ? spec.accessors.slice(1) : spec.accessors
  const path = steps.map(({ name, index }) => (name === null ? `[${index}]` : `.${name}`)).join('')
  return { root, asks: `${root}${path}` }
}
