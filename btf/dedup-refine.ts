import type { MutableRecords } from './dedup-records.ts'
import { Kind } from './wire.ts'

/**
 * For each type the one that it is the same as: the first that no walk along names and references can tell from it
 * (colours taken in from neighbours until no more types part; see `layoutDigest`), where `struct file` is one and the
 * same wherever it is named, declared or defined, as long as all its definitions are equal. Those that are not equal
 * are told apart, and what refers to them with them, until nothing changes.
 *
 * Comparing graphs pair by pair, as libbpf does, does not find this where a graph has some of its types twice: half
 * deduplicated BTF is like that. Variables and sections are each one of their kind.
 */
export function mergeEqualTypes(records: MutableRecords): Int32Array {
  const tags = new Tags(records)
  const graph = new Graph(records, tags)
  for (;;) {
    const first = graph.partition()
    if (!tags.tellApart(first)) return tags.resolveForwards(first)
  }
}

/** The names of structs and unions, and which of them have definitions that differ. */
class Tags {
  /** For each id a number for its kind and name, 1 and up; 0 where it is no struct, or has no name. */
  readonly of: Int32Array
  /** By that number: 1 where definitions differ. */
  readonly isAmbiguous: Uint8Array
  readonly #records: MutableRecords

  constructor(records: MutableRecords) {
    this.#records = records
    this.of = new Int32Array(records.idCount)
    const numbers = new Map<number, number>()
    for (let id = 1; id < records.idCount; id++) {
      const isUnion = this.#isUnion(id)
      if (isUnion === null || records.name(id) === 0) continue
      const key = records.name(id) * 2 + (isUnion ? 1 : 0)
      const number = numbers.get(key) ?? numbers.size + 1
      numbers.set(key, number)
      this.of[id] = number
    }
    this.isAmbiguous = new Uint8Array(numbers.size + 1)
  }

  /** Marks tags whose definitions are in several classes; true where there are new ones. */
  tellApart(first: Int32Array): boolean {
    const definitions = this.#definitions(first)
    let isNew = false
    for (let id = 1; id < first.length; id++) {
      const tag = this.of[id]!
      if (tag === 0 || this.#isForward(id) || definitions[tag] === first[id] || this.isAmbiguous[tag] === 1)
        continue
      this.isAmbiguous[tag] = 1
      isNew = true
    }
    return isNew
  }

  /** A declaration is the only definition of its tag, where there is one. */
  resolveForwards(first: Int32Array): Int32Array {
    const definitions = this.#definitions(first)
    return first.map((same, id) => {
      const tag = this.of[id]!
      const isOpen = tag !== 0 && this.#isForward(id) && this.isAmbiguous[tag] === 0 && definitions[tag] !== 0
      return isOpen ? definitions[tag]! : same
    })
  }

  #definitions(first: Int32Array): Int32Array {
    const definitions = new Int32Array(this.isAmbiguous.length)
    for (let id = 1; id < first.length; id++) {
      const tag = this.of[id]!
      if (tag !== 0 && !this.#isForward(id) && definitions[tag] === 0) definitions[tag] = first[id]!
    }
    return definitions
  }

  #isForward(id: number): boolean {
    return this.#records.kind(id) === Kind.FWD
  }

  #isUnion(id: number): boolean | null {
    const kind = this.#records.kind(id)
    if (kind === Kind.FWD) return this.#records.info(id) >>> 31 === 1
    return kind === Kind.STRUCT ? false : kind === Kind.UNION ? true : null
  }
}

/** 64 bits for each id, in two lanes that JavaScript can multiply. */
interface Colours {
  readonly a: Uint32Array
  readonly b: Uint32Array
}

class Graph {
  readonly #own: Colours
  readonly #tags: Tags
  readonly #firstChild: Uint32Array
  readonly #children: Uint32Array

  constructor(records: MutableRecords, tags: Tags) {
    const count = records.idCount
    this.#tags = tags
    this.#own = { a: new Uint32Array(count), b: new Uint32Array(count) }
    this.#firstChild = new Uint32Array(count + 1)
    const children: number[] = []
    const plain = new Uint8Array(records.words.length)
    for (let id = 1; id < count; id++) {
      this.#firstChild[id] = children.length
      records.mapTypes(id, (type, at) => {
        children.push(type)
        plain[at] = 1
        return type
      })
      const kind = records.kind(id)
      let [a, b] = kind === Kind.VAR || kind === Kind.DATASEC ? [id, id] : [0, 0]
      for (let at = records.starts[id]!; at < records.end(id); at++) {
        const word = plain[at] === 1 ? 0 : records.words[at]!
        a = mix(a, word, 0xcc9e2d51)
        b = mix(b, word, 0x1b873593)
      }
      this.#own.a[id] = a
      this.#own.b[id] = b
    }
    this.#firstChild[count] = children.length
    this.#children = Uint32Array.from(children)
  }

  /** For each id the first of its class. */
  partition(): Int32Array {
    let colours = this.#own
    let classes = 0
    for (;;) {
      const { count, first } = classify(colours)
      if (count === classes) return first
      classes = count
      colours = this.#refine(colours)
    }
  }

  #refine(old: Colours): Colours {
    const count = old.a.length
    const next: Colours = { a: new Uint32Array(count), b: new Uint32Array(count) }
    const { of: tags, isAmbiguous } = this.#tags
    for (let id = 1; id < count; id++) {
      let [a, b] = [old.a[id]!, old.b[id]!]
      for (let c = this.#firstChild[id]!; c < this.#firstChild[id + 1]!; c++) {
        const child = this.#children[c]!
        const tag = tags[child]!
        const byName = tag !== 0 && isAmbiguous[tag] === 0
        a = mix(a, byName ? tag : old.a[child]!, 0xcc9e2d51)
        b = mix(b, byName ? tag : old.b[child]!, 0x1b873593)
      }
      next.a[id] = a
      next.b[id] = b
    }
    return next
  }
}

/** How many colours there are, and for each id the first of its colour. */
function classify({ a, b }: Colours): { readonly count: number; readonly first: Int32Array } {
  const first = new Int32Array(a.length)
  const chain = new Int32Array(a.length)
  const heads = new Map<number, number>()
  let count = 0
  for (let id = 1; id < a.length; id++) {
    const head = heads.get(a[id]!) ?? 0
    let same = head
    while (same !== 0 && b[same] !== b[id]) same = chain[same]!
    if (same === 0) {
      count++
      chain[id] = head
      heads.set(a[id]!, id)
      same = id
    }
    first[id] = same
  }
  return { count, first }
}

function mix(state: number, word: number, factor: number): number {
  let k = Math.imul(word, factor)
  k = Math.imul((k << 15) | (k >>> 17), 0x85ebca6b)
  const h = state ^ k
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) >>> 0
}
