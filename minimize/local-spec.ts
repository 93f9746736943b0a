import { type Btf, Kind, sizeOf, skipModifiersAndTypedefs } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { isComposite, type ReloClass, reloClass, reloKindName } from './relocation-kind.ts'

/** A turning point on the way to a field: a named member, or an element of an array (or of the root pointer). */
export interface Accessor {
  /** The struct or union that has the member; for an element, the element's type. Modifiers are stripped. */
  readonly typeId: number
  /** Member or element number. */
  readonly index: number
  /** Null for an element. */
  readonly name: string | null
}

/** What a relocation asks, in the object's own types. */
export interface LocalSpec {
  readonly class: ReloClass
  /** As the record has it, modifiers and typedefs included. */
  readonly rootId: number
  /** Never empty but for TYPE_ID_LOCAL, which has no target. */
  readonly rootName: string
  /** For fields the way to it, the first being the element of the root pointer; for enumerators one; else none. */
  readonly accessors: readonly Accessor[]
  /** Of the field, from the root's start; wraps at 32 bits as in libbpf. */
  readonly offsetBits: number
}

export type LocalSpecResult =
  | { readonly ok: true; readonly spec: LocalSpec }
  /** Loaders refuse the whole object. */
  | { readonly ok: false; readonly problem: string }

/** BPF pointers have 64 bits on every kernel. */
export const LOCAL_POINTER_BYTES = 8

const NUMBERS = /^\d{1,10}(?::\d{1,10})*$/
const MAX_INT = 0x7fffffff

/**
 * Reads a relocation's access string against the object's own types. Follows bpf_core_parse_spec of libbpf
 * (relo_core.c). Throws BtfError where the types contradict themselves.
 */
export function localSpec(btf: Btf, typeId: number, access: string, kind: number): LocalSpecResult {
  const reloKind = reloClass(kind)
  if (reloKind === null) return bad(`relocation of unknown kind ${kind}`)
  if (!btf.has(typeId)) return bad(`type id ${typeId}: the last is ${btf.idCount - 1}`)
  if (!NUMBERS.test(access)) return bad(`access string "${access}": expected numbers between colons`)
  const indexes = access.split(':').map(Number)
  if (indexes.length > limits.object.maxAccessParts) {
    return bad(`access string of ${indexes.length} parts, ${limits.object.maxAccessParts} are the most`)
  }
  if (indexes.some((index) => index > MAX_INT)) return bad(`access string "${access}": number too large`)
  const rootName = btf.name(typeId)
  const root = { class: reloKind, rootId: typeId, rootName, accessors: [], offsetBits: 0 }
  if (reloKind === 'type') {
    return access === '0' ? { ok: true, spec: root } : bad(`access string "${access}": expected "0"`)
  }
  if (rootName === '') return bad(`${reloKindName(kind)} of an anonymous type`)
  return reloKind === 'enumval' ? enumvalSpec(btf, root, indexes) : fieldSpec(btf, root, indexes)
}

function enumvalSpec(btf: Btf, root: LocalSpec, indexes: readonly number[]): LocalSpecResult {
  const typeId = skipModifiersAndTypedefs(btf, root.rootId)
  const type = btf.type(typeId)
  if (type.kind !== 'enum' && type.kind !== 'enum64')
    return bad(`${root.rootName} is a ${type.kind}, no enum`)
  const index = indexes[0] as number
  const value = type.values[index]
  if (indexes.length > 1 || value === undefined) {
    return bad(`enumerator ${indexes.join(':')} of ${root.rootName}, which has ${type.values.length}`)
  }
  return { ok: true, spec: { ...root, accessors: [{ typeId, index, name: value.name }] } }
}

function fieldSpec(btf: Btf, root: LocalSpec, indexes: readonly number[]): LocalSpecResult {
  let at = skipModifiersAndTypedefs(btf, root.rootId)
  const first = indexes[0] as number
  const rootBytes = sizeOf(btf, at, LOCAL_POINTER_BYTES)
  if (rootBytes === null) return bad(`${root.rootName} has no size`)
  const accessors: Accessor[] = [{ typeId: at, index: first, name: null }]
  let offsetBits = first * rootBytes * 8
  for (const index of indexes.slice(1)) {
    at = skipModifiersAndTypedefs(btf, at)
    const kind = btf.kind(at)
    if (isComposite(kind)) {
      if (index >= btf.vlen(at))
        return bad(`member ${index} of ${describe(btf, at)}, which has ${btf.vlen(at)}`)
      const name = btf.nameAt(at, btf.word(at, 3 + index * 3))
      if (name !== '') accessors.push({ typeId: at, index, name })
      offsetBits += memberOffsetBits(btf, at, index)
      at = btf.word(at, 4 + index * 3)
    } else if (kind === Kind.ARRAY) {
      const length = btf.word(at, 5)
      if (index >= length && !isFlexible(btf, accessors[accessors.length - 1], length)) {
        return bad(`element ${index} of an array of ${length}`)
      }
      at = skipModifiersAndTypedefs(btf, btf.word(at, 3))
      accessors.push({ typeId: at, index, name: null })
      const elementBytes = sizeOf(btf, at, LOCAL_POINTER_BYTES)
      if (elementBytes === null) return bad(`elements of ${describe(btf, at)} have no size`)
      offsetBits += index * elementBytes * 8
    } else {
      return bad(`field ${index} of ${describe(btf, at)}, which has none`)
    }
  }
  return { ok: true, spec: { ...root, accessors, offsetBits: offsetBits % 2 ** 32 } }
}

/** Bits from the start of a struct or union to a member, whichever way its kind_flag writes them. */
export function memberOffsetBits(btf: Btf, id: number, index: number): number {
  const offset = btf.word(id, 5 + index * 3)
  return btf.kindFlag(id) ? offset & 0xffffff : offset
}

/**
 * Whether any element of an array can be reached: it has none of its own, and `last`, through which it was reached,
 * is the last member of its struct. Follows is_flex_arr of libbpf.
 */
export function isFlexible(btf: Btf, last: Accessor | undefined, length: number): boolean {
  return length === 0 && last !== undefined && last.name !== null && last.index === btf.vlen(last.typeId) - 1
}

function describe(btf: Btf, id: number): string {
  const { kind, name } = btf.type(id)
  return name === '' ? kind : `${kind} ${name}`
}

function bad(problem: string): LocalSpecResult {
  return { ok: false, problem }
}
