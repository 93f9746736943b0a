import { type Btf, BtfError } from '../btf/index.ts'
import type { BpfObject, Relocation } from './bpf-object.ts'
import { LOCAL_POINTER_BYTES, localSpec, type LocalSpec } from './local-spec.ts'
import { type Need, needOf } from './need.ts'
import { relocationValue, type ReloValue } from './relocation-value.ts'
import { ReloKind } from './relocation-kind.ts'

/** What one or many equal relocations ask, read once for all kernels. */
export interface Question {
  readonly kind: number
  readonly spec: LocalSpec
  /** What the compiler put into the instruction. */
  readonly local: ReloValue
  /** Equal for questions to which the same places in a kernel's types are the answer. */
  readonly place: number
  /** What it needs of a kernel; null for nothing. */
  readonly need: Need | null
}

export interface PreparedRelocation {
  readonly relocation: Relocation
  /** Or why every loader refuses the object. */
  readonly question: Question | { readonly problem: string }
}

/** An object whose relocations were read. */
export interface PreparedObject {
  readonly object: BpfObject
  readonly btf: Btf | null
  readonly relocations: readonly PreparedRelocation[]
}

/** A tool made ready for any number of kernels. */
export interface PreparedTool {
  readonly objects: readonly PreparedObject[]
  /** What the tool's objects need of a kernel, each need once however many relocations have it. */
  readonly needs: readonly Need[]
}

/** Reads the relocations of a tool's objects, once for all kernels. Never throws: a bad relocation is an outcome. */
export function prepareTool(objects: readonly BpfObject[]): PreparedTool {
  const prepared = objects.map(prepareObject)
  return { objects: prepared, needs: needsOf(prepared) }
}

function prepareObject(object: BpfObject): PreparedObject {
  const { btf } = object
  const questions = new Map<string, PreparedRelocation['question']>()
  const places = new Map<string, number>()
  const relocations = object.relocations.map((relocation) => {
    const { typeId, access, kind } = relocation
    const key = `${kind}/${typeId}/${access}`
    let question = questions.get(key)
    if (question === undefined) {
      question = btf === null ? { problem: 'no .BTF' } : ask(btf, relocation, places)
      questions.set(key, question)
    }
    return { relocation, question }
  })
  return { object, btf, relocations }
}

function ask(btf: Btf, relocation: Relocation, places: Map<string, number>): PreparedRelocation['question'] {
  try {
    return readQuestion(btf, relocation, places)
  } catch (err) {
    if (err instanceof BtfError) return { problem: err.message }
    throw err
  }
}

function readQuestion(
  btf: Btf,
  relocation: Relocation,
  places: Map<string, number>,
): PreparedRelocation['question'] {
  const { typeId, access, kind } = relocation
  const result = localSpec(btf, typeId, access, kind)
  if (!result.ok) return { problem: result.problem }
  const { spec } = result
  const value = relocationValue(kind, {
    btf,
    pointerBytes: LOCAL_POINTER_BYTES,
    rootId: spec.rootId,
    leaf: spec.accessors[spec.accessors.length - 1] ?? null,
    offsetBits: spec.offsetBits,
  })
  if (!value.ok) return { problem: value.problem }
  if (spec.rootName === '' && kind !== ReloKind.TYPE_ID_LOCAL) return { problem: 'a type without a name' }
  const placeKey = `${spec.class === 'type' ? kind === ReloKind.TYPE_MATCHES : spec.class}/${typeId}/${access}`
  let place = places.get(placeKey)
  if (place === undefined) {
    place = places.size
    places.set(placeKey, place)
  }
  return { kind, spec, local: value.value, place, need: needOf(btf, spec, kind) }
}

function needsOf(objects: readonly PreparedObject[]): Need[] {
  const needs = new Map<string, Need>()
  for (const [number, { relocations }] of objects.entries()) {
    for (const { question } of relocations) {
      if ('problem' in question || question.need === null) continue
      const { need } = question
      // A need that refers to the object's own types is this object's alone.
      const key = need.local === null ? need.key : `${number}/${need.key}`
      if (!needs.has(key)) needs.set(key, need)
    }
  }
  return [...needs.values()]
}
