/**
 * A map that forgets what was not used lately once the weights of its values exceed a bound. It has two halves: what is
 * used moves to the younger one, and when that is full the older one is dropped. So finding something costs one look
 * into a map and moves nothing, which an exact order of use would.
 */
export class RecentCache<Value> {
  /** What is heavier is not kept. */
  readonly maxEntryWeight: number
  #young = new Map<string, Entry<Value>>()
  #old = new Map<string, Entry<Value>>()
  #youngWeight = 0
  #oldWeight = 0

  constructor(maxWeight: number) {
    this.maxEntryWeight = maxWeight / 2
  }

  /** At most what the constructor was given. */
  get weight(): number {
    return this.#youngWeight + this.#oldWeight
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young.value
    const old = this.#old.get(key)
    if (old === undefined) return undefined
    this.set(key, old.value, old.weight)
    return old.value
  }

  set(key: string, value: Value, weight: number): void {
    this.delete(key)
    if (weight > this.maxEntryWeight) return
    if (this.#youngWeight + weight > this.maxEntryWeight) {
      this.#old = this.#young
      this.#oldWeight = this.#youngWeight
      this.#young = new Map()
      this.#youngWeight = 0
    }
    this.#young.set(key, { value, weight })
    this.#youngWeight += weight
  }

  delete(key: string): void {
    this.#youngWeight -= this.#young.get(key)?.weight ?? 0
    this.#oldWeight -= this.#old.get(key)?.weight ?? 0
    this.#young.delete(key)
    this.#old.delete(key)
  }
}

interface Entry<Value> {
  readonly value: Value
  readonly weight: number
}
