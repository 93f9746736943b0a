import { limits } from '../core/limits.ts'
import { formsOf, tooManySteps } from './dedup-forms.ts'
import { TypeGraph } from './dedup-graph.ts'
import type { MutableRecords } from './dedup-records.ts'
import { Kind } from './wire.ts'

/**
 * For each type the one that it is the same as, in records that are changed so that those refer to the most that is
 * known. Types are the same where C calls types of two units compatible (ISO C11 6.2.7): equal members of equal types,
 * structs being equal by their name. Where a name has several definitions, they are several types, and so is what has
 * one of them in it; what merely points to one is one type, and points to what most of its copies do: that two thirds
 * of a kernel are there twice because two files have a `struct ring_buffer` of their own helps nobody, and no
 * relocation follows a pointer. A declaration tells nothing of which definition it is.
 *
 * Comparing graphs pair by pair, as libbpf does, takes it that a unit of compilation has each type once. A graph that
 * was deduplicated by halves, with some of its types twice, never equals another then, and the work is quadratic.
 *
 * Throws BtfError `LIMIT` where comparing takes more than `limits.btf.maxDedupSteps`.
 */
export function mergeEqualTypes(records: MutableRecords): Int32Array {
  return new Merge(new TypeGraph(records)).run()
}

/** Copies of one form that agree in what is known of what they refer to. */
interface Group {
  readonly first: number
  readonly variants: Int32Array
}

class Merge {
  readonly #graph: TypeGraph
  /** For each id the first of its form; for a declaration whose name has one definition, the first of that one's. */
  readonly #form: Int32Array
  /** By form: its ids but declarations, in order. */
  readonly #copies = new Map<number, number[]>()
  /** Which of the types of its form an id is, as the first of those; 0 where nothing in it tells. */
  #variant: Int32Array
  #steps = 0

  constructor(graph: TypeGraph) {
    this.#graph = graph
    this.#form = formsOf(graph)
    this.#variant = new Int32Array(this.#form.length)
    this.#resolveNames()
    for (let id = 1; id < this.#form.length; id++) {
      if (graph.isForward(id)) continue
      const copies = this.#copies.get(this.#form[id]!)
      if (copies === undefined) this.#copies.set(this.#form[id]!, [id])
      else copies.push(id)
    }
  }

  /** Knowledge goes up from what is referred to, by one step each time; structs end its way through pointers. */
  run(): Int32Array {
    for (let known = -1, labels = -1; ;) {
      const next = this.#variant.slice()
      this.#count(next.length)
      for (const ids of this.#copies.values()) if (ids.length > 1) this.#tellApart(ids, next)
      this.#variant = next
      const all = new Set(next)
      const count = next.reduce((sum, variant) => sum + (variant === 0 ? 0 : 1), 0)
      if (count === known && all.size === labels) break
      ;[known, labels] = [count, all.size]
    }
    const same = this.#sameAs()
    this.#pointToMost(same)
    return same
  }

  /** Declarations are the only definition of their name; definitions of one that has several are known by their form. */
  #resolveNames(): void {
    const { tags, tagCount } = this.#graph
    const definition = new Int32Array(tagCount + 1)
    const hasSeveral = new Uint8Array(tagCount + 1)
    for (let id = 1; id < tags.length; id++) {
      const tag = tags[id]!
      if (tag === 0 || this.#graph.isForward(id)) continue
      if (definition[tag] === 0) definition[tag] = this.#form[id]!
      else if (definition[tag] !== this.#form[id]) hasSeveral[tag] = 1
    }
    for (let id = 1; id < tags.length; id++) {
      const tag = tags[id]!
      if (tag === 0) continue
      if (!this.#graph.isForward(id)) this.#variant[id] = hasSeveral[tag] === 1 ? this.#form[id]! : 0
      else if (hasSeveral[tag] === 0 && definition[tag] !== 0) this.#form[id] = definition[tag]!
    }
  }

  /** Parts the copies of one form by what is known of what they refer to. */
  #tellApart(ids: readonly number[], next: Int32Array): void {
    const slots = this.#disputed(ids)
    if (slots.length === 0) return
    const groups: Group[] = []
    const byKey = new Map<string, Group>()
    for (const id of ids) {
      const variants = Int32Array.from(slots, (slot) => this.#variantAt(id, slot))
      if (variants.every((variant) => variant === 0)) continue
      const key = variants.join()
      const group = byKey.get(key) ?? this.#groupOf(id, variants, groups)
      byKey.set(key, group)
      next[id] = group.first
    }
  }

  #groupOf(id: number, variants: Int32Array, groups: Group[]): Group {
    this.#count(groups.length * variants.length)
    const agrees = (variant: number, known: number): boolean =>
      variant === 0 || known === 0 || variant === known
    const group = groups.find((one) => variants.every((variant, i) => agrees(variant, one.variants[i]!)))
    if (group === undefined) {
      groups.push({ first: id, variants })
      return groups.at(-1) as Group
    }
    for (let i = 0; i < variants.length; i++) group.variants[i] ||= variants[i]!
    return group
  }

  /** Of what the copies of one form refer to, by its order, that of which two are known to differ. */
  #disputed(ids: readonly number[]): number[] {
    const { first, children } = this.#graph
    const one = ids[0] as number
    const kind = this.#graph.records.kind(one)
    const isStruct = kind === Kind.STRUCT || kind === Kind.UNION
    const found: number[] = []
    for (let slot = 0; slot < first[one + 1]! - first[one]!; slot++) {
      if (isStruct && this.#isPointer(children[first[one]! + slot]!)) continue
      const agreed = ids.find((id) => this.#variantAt(id, slot) !== 0)
      if (agreed === undefined) continue
      const variant = this.#variantAt(agreed, slot)
      const isOther = (id: number): boolean => {
        const other = this.#variantAt(id, slot)
        return other !== 0 && other !== variant
      }
      if (ids.some(isOther)) found.push(slot)
    }
    return found
  }

  /** True for pointers and what is made of them, as members are. */
  #isPointer(id: number): boolean {
    const { first, children, records } = this.#graph
    let at = id
    for (let depth = 0; depth < limits.btf.maxDepth; depth++) {
      const kind = records.kind(at)
      if (kind === Kind.PTR) return true
      if (!WRAPPERS.has(kind)) return false
      at = children[first[at]!]!
    }
    return false
  }

  #variantAt(id: number, slot: number): number {
    const { first, children } = this.#graph
    return this.#variant[children[first[id]! + slot]!]!
  }

  /** The first that is the same. Definitions of which nothing is known are what most are; the rest is itself then. */
  #sameAs(): Int32Array {
    const same = new Int32Array(this.#form.length)
    const usual = this.#usualVariants()
    const unknown = new Map<number, number>()
    for (let id = 1; id < same.length; id++) {
      const form = this.#form[id]!
      const variant = this.#variant[id]!
      if (variant !== 0) same[id] = variant
      else if (!usual.has(form)) same[id] = form
      else if (this.#graph.tags[id] !== 0) same[id] = usual.get(form) as number
      else {
        if (!unknown.has(form)) unknown.set(form, id)
        same[id] = unknown.get(form) as number
      }
    }
    return same
  }

  /** By form that has variants: the one with most copies. */
  #usualVariants(): Map<number, number> {
    const usual = new Map<number, number>()
    for (const [form, ids] of this.#copies) {
      const most = mostFrequent(ids.map((id) => this.#variant[id]!))
      if (most !== 0) usual.set(form, most)
    }
    return usual
  }

  /** Makes those that stand for others refer to what most of these are known to refer to. */
  #pointToMost(same: Int32Array): void {
    const { first, children, words, records } = this.#graph
    const copies = new Map<number, number[]>()
    for (let id = 1; id < same.length; id++) {
      if (this.#graph.isForward(id)) continue
      const known = copies.get(same[id]!)
      if (known === undefined) copies.set(same[id]!, [id])
      else known.push(id)
    }
    for (const [to, ids] of copies) {
      for (let slot = 0; slot < first[to + 1]! - first[to]!; slot++) {
        const most = mostFrequent(ids.map((id) => this.#variantAt(id, slot)))
        const by = most === 0 ? undefined : ids.find((id) => this.#variantAt(id, slot) === most)
        if (by !== undefined) records.words[words[first[to]! + slot]!] = children[first[by]! + slot]!
      }
    }
  }

  #count(steps: number): void {
    if ((this.#steps += steps) > limits.btf.maxDedupSteps) throw tooManySteps()
  }
}

const WRAPPERS: ReadonlySet<number> = new Set([
  Kind.TYPEDEF,
  Kind.VOLATILE,
  Kind.CONST,
  Kind.RESTRICT,
  Kind.TYPE_TAG,
  Kind.ARRAY,
])

/** The number but 0 that is there most, the first of those; 0 where there is none. */
function mostFrequent(values: readonly number[]): number {
  const counts = new Map<number, number>()
  let most = 0
  for (const value of values) {
    if (value === 0) continue
    const count = (counts.get(value) ?? 0) + 1
    counts.set(value, count)
    if (most === 0 || count > (counts.get(most) as number)) most = value
  }
  return most
}
