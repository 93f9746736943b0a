import type { MutableRecords } from './dedup-records.ts'
import { Kind } from './wire.ts'

/** The types that each record refers to, in order, as one list: those of `id` are from `first[id]` to `first[id + 1]`. */
export class TypeGraph {
  readonly records: MutableRecords
  readonly first: Uint32Array
  /** Ids; the word that has each is at the same index of `words`. */
  readonly children: Uint32Array
  readonly words: Uint32Array
  /** Of each id a number for its kind and name, 1 and up, where it is a struct or union with a name, declared or defined; or 0. */
  readonly tags: Int32Array
  readonly tagCount: number

  constructor(records: MutableRecords) {
    const count = records.idCount
    this.records = records
    this.first = new Uint32Array(count + 1)
    for (let id = 1; id < count; id++) {
      let own = 0
      records.mapTypes(id, (type) => (own++, type))
      this.first[id + 1] = this.first[id]! + own
    }
    this.children = new Uint32Array(this.first[count]!)
    this.words = new Uint32Array(this.first[count]!)
    for (let id = 1, slot = 0; id < count; id++) {
      records.mapTypes(id, (type, at) => {
        this.children[slot] = type
        this.words[slot++] = at
        return type
      })
    }
    this.tags = new Int32Array(count)
    const numbers = new Map<number, number>()
    for (let id = 1; id < count; id++) {
      const isUnion = this.#isUnion(id)
      if (isUnion === null || records.name(id) === 0) continue
      const key = records.name(id) * 2 + (isUnion ? 1 : 0)
      const number = numbers.get(key) ?? numbers.size + 1
      numbers.set(key, number)
      this.tags[id] = number
    }
    this.tagCount = numbers.size
  }

  isForward(id: number): boolean {
    return this.records.kind(id) === Kind.FWD
  }

  #isUnion(id: number): boolean | null {
    const kind = this.records.kind(id)
    if (kind === Kind.FWD) return this.records.info(id) >>> 31 === 1
    return kind === Kind.STRUCT ? false : kind === Kind.UNION ? true : null
  }
}
