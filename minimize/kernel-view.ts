import { type Btf, isModifier, Kind, nameEquals, skipModifiersAndTypedefs } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { memberOffsetBits } from './local-spec.ts'
import { isComposite } from './relocation-kind.ts'
import { pointerBytesOf } from './pointer-size.ts'

/** One step into a struct or union; anonymous members on the way are steps too. */
export interface MemberStep {
  /** The struct or union, modifiers stripped. */
  readonly structId: number
  readonly index: number
}

/** A member found by name. */
export interface FoundMember {
  /** From the struct that was searched to the one that has the member; the last step is the member itself. */
  readonly steps: readonly MemberStep[]
  /** The member's type, as it is written. */
  readonly typeId: number
  /** From the start of the struct that was searched. */
  readonly offsetBits: number
}

/**
 * A kernel's BTF with what relocations ask of it again and again: candidates by name, members by name. Nothing of it
 * depends on a tool, so one view serves all tools of a kernel.
 */
export class KernelView {
  readonly btf: Btf
  readonly #candidates = new Map<string, readonly number[]>()
  readonly #members = new Map<number, Map<string, FoundMember | null>>()
  #remembered = 0
  #pointerBytes: number | null = null

  constructor(btf: Btf) {
    this.btf = btf
  }

  get pointerBytes(): number {
    this.#pointerBytes ??= pointerBytesOf(this.btf)
    return this.#pointerBytes
  }

  /** Ids of the types whose name, less its flavor, is this; ascending. */
  idsByEssentialName(name: string): readonly number[] {
    let ids = this.#candidates.get(name)
    if (ids === undefined) {
      ids = this.btf.idsByEssentialName(name)
      this.#makeRoom()
      this.#candidates.set(name, ids)
    }
    return ids
  }

  /** Looks several names up at once, for {@link idsByEssentialName} to know; cheaper than one by one. */
  expect(names: readonly string[]): void {
    const unknown = names.filter((name) => !this.#candidates.has(name))
    if (unknown.length === 0) return
    for (const [name, ids] of this.btf.idsByEssentialNames(unknown)) {
      this.#makeRoom()
      this.#candidates.set(name, ids)
    }
  }

  /** The type behind modifiers and typedefs. */
  strip(id: number): number {
    const kind = this.btf.kind(id)
    return isModifier(kind) || kind === Kind.TYPEDEF ? skipModifiersAndTypedefs(this.btf, id) : id
  }

  /**
   * The first member of that name of a struct or union (modifiers stripped), anonymous members searched in depth;
   * null where there is none. Follows bpf_core_match_member of libbpf.
   */
  member(structId: number, name: string): FoundMember | null {
    const known = this.#members.get(structId)?.get(name)
    if (known !== undefined) return known
    const found = findMember(this, structId, name, new Set())
    this.#makeRoom()
    const members = this.#members.get(structId)
    if (members === undefined) this.#members.set(structId, new Map([[name, found]]))
    else members.set(name, found)
    return found
  }

  /** Past the limit it forgets all and starts anew. */
  #makeRoom(): void {
    if (++this.#remembered <= limits.object.maxRemembered) return
    this.#remembered = 1
    this.#candidates.clear()
    this.#members.clear()
  }
}

/** `barren` has the anonymous types that were searched in vain: without it nested ones could be searched forever. */
function findMember(
  view: KernelView,
  structId: number,
  name: string,
  barren: Set<number>,
  depth = 1,
): FoundMember | null {
  const { btf } = view
  if (!isComposite(btf.kind(structId)) || depth > limits.object.maxAccessParts) return null
  const count = btf.vlen(structId)
  for (let index = 0; index < count; index++) {
    const nameOffset = btf.word(structId, 3 + index * 3)
    if (nameOffset !== 0 && !nameEquals(btf.strings, nameOffset, '')) {
      if (!nameEquals(btf.strings, nameOffset, name)) continue
      const offsetBits = memberOffsetBits(btf, structId, index)
      return { steps: [{ structId, index }], typeId: btf.word(structId, 4 + index * 3), offsetBits }
    }
    const inner = view.strip(btf.word(structId, 4 + index * 3))
    if (barren.has(inner)) continue
    const found = findMember(view, inner, name, barren, depth + 1)
    if (found !== null) {
      const offsetBits = memberOffsetBits(btf, structId, index) + found.offsetBits
      return { ...found, steps: [{ structId, index }, ...found.steps], offsetBits }
    }
    barren.add(inner)
  }
  return null
}
