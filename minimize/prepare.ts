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
}

/** A relocation that was read. */
interface Reading {
  /** Or why libbpf refuses the object on every kernel. */
  readonly question: Question | { readonly problem: string }
  /** What it needs of a kernel; null for nothing. Other loaders accept some of what libbpf refuses. */
  readonly need: Need | null
}

export interface PreparedRelocation extends Reading {
  readonly relocation: Relocation
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
  const readings = new Map<string, Reading>()
  const places = new Map<string, number>()
  const relocations = object.relocations.map((relocation) => {
    const { typeId, access, kind } = relocation
    const key = `${kind}/${typeId}/${access}`
    let reading = readings.get(key)
    if (reading === undefined) {
      reading = btf === null ? refused('no .BTF') : read(btf, relocation, places)
      readings.set(key, reading)
    }
    return { relocation, ...reading }
  })
  return { object, btf, relocations }
}

function read(btf: Btf, relocation: Relocation, places: Map<string, number>): Reading {
  try {
    return readChecked(btf, relocation, places)
  } catch (err) {
    if (err instanceof BtfError) return refused(err.message)
    throw err
  }
}

function readChecked(btf: Btf, relocation: Relocation, places: Map<string, number>): Reading {
  const { typeId, access, kind } = relocation
  const result = localSpec(btf, typeId, access, kind)
  if (!result.ok) return refused(result.problem)
  const { spec } = result
  if (spec.rootName === '' && kind !== ReloKind.TYPE_ID_LOCAL) return refused('a type without a name')
  const need = needOf(btf, spec, kind)
  const value = relocationValue(kind, {
    btf,
    pointerBytes: LOCAL_POINTER_BYTES,
    rootId: spec.rootId,
    leaf: spec.accessors[spec.accessors.length - 1] ?? null,
    offsetBits: spec.offsetBits,
  })
  if (!value.ok) return { question: { problem: value.problem }, need }
  const placeKey = `${spec.class === 'type' ? kind === ReloKind.TYPE_MATCHES : spec.class}/${typeId}/${access}`
  let place = places.get(placeKey)
  if (place === undefined) {
    place = places.size
    places.set(placeKey, place)
  }
  return { question: { kind, spec, local: value.value, place }, need }
}

function refused(problem: string): Reading {
  return { question: { problem }, need: null }
}

function needsOf(objects: readonly PreparedObject[]): Need[] {
  const needs = new Map<string, Need>()
  for (const [number, { relocations }] of objects.entries()) {
    for (const { need } of relocations) {
      if (need === null) continue
      // A need that refers to the object's own types is this object's alone.
      const key = need.local === null ? need.key : `${number}/${need.key}`
      if (!needs.has(key)) needs.set(key, need)
    }
  }
  return [...needs.values()]
}
