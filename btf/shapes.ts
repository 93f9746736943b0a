import { limits } from '../core/limits.ts'
import type { Btf } from './btf.ts'
import { isForward, isTagged, plainNames, tagKeyword } from './c-names.ts'
import { CPrinter } from './c-printer.ts'
import type { MemberShape, ShapeKind, TypeShape } from './diff-types.ts'
import { BtfError, malformedType } from './errors.ts'
import { isModifier, memberSpot, sizeOf, skipModifiersAndTypedefs } from './layout.ts'
import { Kind } from './wire.ts'

/** Reads definitions as shapes, which know nothing of ids and can be held against those of another BTF. */
export class ShapeReader {
  readonly #btf: Btf
  readonly #printer: CPrinter
  #steps = 0
  #stepsOfOne = 0

  constructor(btf: Btf) {
    this.#btf = btf
    this.#printer = new CPrinter(btf, plainNames(btf), { comments: false, elideAnonymous: true })
  }

  /** Ids of named definitions under `struct task_struct` and the like; those of one name, or all. */
  definitions(name?: string): Map<string, number[]> {
    const btf = this.#btf
    const found = new Map<string, number[]>()
    const note = (id: number): void => {
      const kind = shapeKind(btf, id)
      if (kind === null || btf.nameOffset(id) === 0) return
      const key = `${kind} ${btf.name(id)}`
      const ids = found.get(key)
      if (ids === undefined) found.set(key, [id])
      else ids.push(id)
    }
    if (name !== undefined) btf.idsByName(name).forEach(note)
    else for (let id = 1; id < btf.idCount; id++) note(id)
    return found
  }

  /** The shape of a definition. Throws BtfError `MALFORMED`, or `LIMIT` where types multiply without end. */
  shape(id: number): TypeShape {
    const btf = this.#btf
    const kind = shapeKind(btf, id)
    if (kind === null) throw malformedType(id, btf.byteOffset(id), 'is no struct, union, enum or typedef')
    this.#stepsOfOne = 0
    const members = new MemberList()
    const values = new Map<string, bigint>()
    let target = ''
    if (kind === 'typedef') {
      target = this.#printer.declaration(btf.sizeOrType(id), '')
      this.#addInline(members, btf.sizeOrType(id), '', 0, 0)
    } else if (kind === 'enum') {
      const type = btf.type(id)
      if (type.kind === 'enum' || type.kind === 'enum64')
        for (const v of type.values) values.set(v.name, v.value)
    } else {
      this.#addMembers(members, id, '', 0, 0)
    }
    const sizeBytes = kind === 'typedef' ? null : btf.sizeOrType(id)
    return { kind, name: btf.name(id), sizeBytes, members: members.byPath, values, target }
  }

  #addMembers(to: MemberList, id: number, prefix: string, baseBits: number, depth: number): void {
    const btf = this.#btf
    if (depth > limits.btf.maxDepth) {
      throw malformedType(id, btf.byteOffset(id), `nested deeper than ${limits.btf.maxDepth}`)
    }
    for (let i = 0; i < btf.vlen(id); i++) {
      if (++this.#stepsOfOne > limits.btf.maxDefinitionSteps || ++this.#steps > limits.btf.maxDumpSteps) {
        throw new BtfError('LIMIT', `type id ${id}: more members than any kernel has`)
      }
      const { nameOffset, typeId, offsetBits, bitfieldBits } = memberSpot(btf, id, i)
      const at = baseBits + offsetBits
      const name = btf.nameAt(id, nameOffset)
      if (name === '') {
        // Its members are those of the struct around it, whether it has a tag (-fms-extensions) or none.
        const inner = skipModifiersAndTypedefs(btf, typeId)
        if (isComposite(btf, inner)) this.#addMembers(to, inner, prefix, at, depth + 1)
        continue
      }
      const path = to.add(prefix + name, {
        type: this.#printer.declaration(typeId, ''),
        offsetBits: at,
        bitfieldBits,
        sizeBytes: sizeOf(btf, typeId, this.#printer.layout.pointerBytes),
      })
      this.#addInline(to, typeId, path, at, depth + 1)
    }
  }

  /** Members of a struct without a tag, which is written out in the declaration of `path`. */
  #addInline(to: MemberList, typeId: number, path: string, atBits: number, depth: number): void {
    const btf = this.#btf
    let [at, suffix] = [typeId, '']
    for (let steps = 0; steps < limits.btf.maxDepth; steps++) {
      if (btf.kind(at) === Kind.ARRAY) {
        at = btf.word(at, 3)
        suffix += '[]'
      } else if (isModifier(btf.kind(at))) at = btf.sizeOrType(at)
      else break
    }
    if (!isComposite(btf, at) || btf.nameOffset(at) !== 0) return
    this.#addMembers(to, at, path === '' ? '' : `${path}${suffix}.`, atBits, depth)
  }
}

/** Members by path. Names repeat where macros make them: RHEL's kernels have `__UNIQUE_ID_rh_kabi_hide` by the dozen. */
class MemberList {
  readonly byPath = new Map<string, MemberShape>()
  readonly #repeats = new Map<string, number>()

  /** Adds a member and gives the path that it got. */
  add(wanted: string, shape: Omit<MemberShape, 'path'>): string {
    const count = (this.#repeats.get(wanted) ?? 0) + 1
    this.#repeats.set(wanted, count)
    const path = count === 1 ? wanted : `${wanted}#${count}`
    this.byPath.set(path, { path, ...shape })
    return path
  }
}

function isComposite(btf: Btf, id: number): boolean {
  const kind = btf.kind(id)
  return kind === Kind.STRUCT || kind === Kind.UNION
}

function shapeKind(btf: Btf, id: number): ShapeKind | null {
  const kind = btf.kind(id)
  if (kind === Kind.TYPEDEF) return 'typedef'
  return isTagged(kind) && !isForward(btf, id) ? tagKeyword(btf, id) : null
}
