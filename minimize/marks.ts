import { type Btf, Kind } from '../btf/index.ts'
import { MinimizeError } from './errors.ts'
import type { KernelView } from './kernel-view.ts'
import { isComposite } from './relocation-kind.ts'

/**
 * What of a kernel's types a min BTF keeps: whole types, and for structs and unions which members. A struct without a
 * kept member keeps its name and size. All marks are unions: their order does not matter.
 */
export class Marks {
  readonly #view: KernelView
  readonly #btf: Btf
  /** Kept ids; for structs and unions the kept members, for all others null. */
  readonly #kept = new Map<number, Set<number> | null>()
  readonly #followed = new Set<number>()

  constructor(view: KernelView) {
    this.#view = view
    this.#btf = view.btf
  }

  /** Kept ids, ascending. */
  ids(): number[] {
    return [...this.#kept.keys()].sort((a, b) => a - b)
  }

  has(id: number): boolean {
    return this.#kept.has(id)
  }

  /** Numbers of a struct's kept members, ascending. */
  members(id: number): number[] {
    return [...(this.#kept.get(id) ?? [])].sort((a, b) => a - b)
  }

  memberCount(id: number): number {
    return this.#kept.get(id)?.size ?? 0
  }

  /**
   * Keeps a type as a value of it is laid out: what modifiers, typedefs and arrays are of, but not what pointers point
   * to nor what structs consist of. Throws MinimizeError `UNSUPPORTED` for a kind that has no place in a min BTF.
   */
  keep(id: number): void {
    this.#walk(id, false)
  }

  /** Keeps a type and what its pointers lead to, up to structs, which stay without members. */
  keepFollowing(id: number): void {
    this.#walk(id, true)
  }

  /** Keeps a member, its type, and its struct. */
  keepMember(structId: number, index: number): void {
    this.keep(structId)
    const members = this.#kept.get(structId)
    if (!members || members.has(index)) return
    members.add(index)
    const typeId = this.#btf.word(structId, 4 + index * 3)
    this.keep(typeId)
    const last = this.#btf.vlen(structId) - 1
    // An array without elements is open-ended where it comes last: if it does not, something must still follow it.
    if (index < last && this.#isEmptyArray(typeId)) this.keepMember(structId, last)
  }

  #isEmptyArray(typeId: number): boolean {
    const id = this.#view.strip(typeId)
    return this.#btf.kind(id) === Kind.ARRAY && this.#btf.word(id, 5) === 0
  }

  #walk(root: number, follow: boolean): void {
    const pending = [root]
    for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
      if (id === 0 || (follow ? this.#followed : this.#kept).has(id)) continue
      const kind = this.#btf.kind(id)
      if (!this.#kept.has(id)) this.#kept.set(id, isComposite(kind) ? new Set() : null)
      if (follow) this.#followed.add(id)
      switch (kind) {
        case Kind.INT:
        case Kind.FLOAT:
        case Kind.ENUM:
        case Kind.ENUM64:
        case Kind.STRUCT:
        case Kind.UNION:
        case Kind.FWD:
          break
        case Kind.PTR:
          if (follow) pending.push(this.#btf.sizeOrType(id))
          break
        case Kind.TYPEDEF:
        case Kind.CONST:
        case Kind.VOLATILE:
        case Kind.RESTRICT:
        case Kind.TYPE_TAG:
          pending.push(this.#btf.sizeOrType(id))
          break
        case Kind.ARRAY:
          pending.push(this.#btf.word(id, 3), this.#btf.word(id, 4))
          break
        case Kind.FUNC_PROTO:
          pending.push(this.#btf.sizeOrType(id))
          for (let i = 0; i < this.#btf.vlen(id); i++) pending.push(this.#btf.word(id, 4 + i * 2))
          break
        default:
          throw new MinimizeError(
            'UNSUPPORTED',
            `type id ${id} of the kernel is of kind ${kind}, which no relocation can lead to`,
          )
      }
    }
  }
}
