import type { MutableRecords } from './dedup-records.ts'
import { Kind } from './wire.ts'

/**
 * What is equal about two records by their own words alone, names being offsets of strings that are there once:
 * btf_equal_common and its like in libbpf's btf.c.
 */
export class RecordEquality {
  readonly #records: MutableRecords

  constructor(records: MutableRecords) {
    this.#records = records
  }

  /** Name, info, size or type. */
  common(a: number, b: number): boolean {
    const r = this.#records
    return r.name(a) === r.name(b) && r.info(a) === r.info(b) && r.third(a) === r.third(b)
  }

  /** Every word. */
  whole(a: number, b: number): boolean {
    return this.common(a, b) && this.#trailing(a, b, 1, 0, 0)
  }

  /** Members' names and offsets, not their types. */
  structShape(a: number, b: number): boolean {
    return this.common(a, b) && this.#trailing(a, b, 3, 0, 2)
  }

  arrayShape(a: number, b: number): boolean {
    const { words } = this.#records
    return this.common(a, b) && words[this.#at(a, 2)] === words[this.#at(b, 2)]
  }

  /** Names of the parameters, not their types. */
  prototypeShape(a: number, b: number): boolean {
    const r = this.#records
    return r.name(a) === r.name(b) && r.info(a) === r.info(b) && this.#trailing(a, b, 2, 0, 0)
  }

  isEnumForward(id: number): boolean {
    return this.isEnum(id) && this.#records.vlen(id) === 0
  }

  isEnum(id: number): boolean {
    const kind = this.#records.kind(id)
    return kind === Kind.ENUM || kind === Kind.ENUM64
  }

  /** Equal, or one of them is declared only, which BTF writes as an enum without values. */
  compatibleEnums(a: number, b: number): boolean {
    if (!this.isEnumForward(a) && !this.isEnumForward(b)) return this.whole(a, b)
    return this.#records.name(a) === this.#records.name(b) && this.isEnum(a) && this.isEnum(b)
  }

  /** Hash of the words that {@link whole} compares, or of a part of them. */
  hash(id: number, part: 'name' | 'common' | 'whole' | 'structShape'): number {
    const r = this.#records
    let h = mix(0x9747b28c, r.name(id))
    if (part === 'name') return h
    h = mix(mix(h, r.info(id)), r.third(id))
    if (part === 'common') return h
    for (let at = r.trailing(id), i = 0; at < r.end(id); at++, i++) {
      if (part === 'whole' || i % 3 !== 1) h = mix(h, r.words[at] as number)
    }
    return h
  }

  /** Compares words `first` and `second` of every element of `step` words. */
  #trailing(a: number, b: number, step: number, first: number, second: number): boolean {
    const r = this.#records
    const [startA, startB] = [r.trailing(a), r.trailing(b)]
    const length = r.end(a) - startA
    if (length !== r.end(b) - startB) return false
    for (let i = 0; i < length; i += step) {
      if (r.words[startA + i + first] !== r.words[startB + i + first]) return false
      if (r.words[startA + i + second] !== r.words[startB + i + second]) return false
    }
    return true
  }

  #at(id: number, word: number): number {
    return this.#records.trailing(id) + word
  }
}

function mix(state: number, word: number): number {
  const k = Math.imul(Math.imul(word, 0xcc9e2d51) ^ (word >>> 15), 0x1b873593)
  const h = state ^ k
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}
