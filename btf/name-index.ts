import type { Btf } from './btf.ts'
import { Kind } from './wire.ts'

/** Kinds that have names but no layout: FUNC alone is half of a kernel's types, and nobody looks them up here. */
const NOT_INDEXED: ReadonlySet<number> = new Set([
  Kind.FUNC,
  Kind.VAR,
  Kind.DATASEC,
  Kind.DECL_TAG,
  Kind.TYPE_TAG,
  Kind.FUNC_PROTO,
])

const UNDERSCORE = 0x5f

/**
 * Length of a name without its flavor: up to the last `___` that has something other than `_` on both sides.
 * Follows bpf_core_essential_name_len of libbpf (relo_core.c).
 */
export function essentialNameLength(name: Uint8Array, start: number, length: number): number {
  for (let i = length - 5; i >= 0; i--) {
    const at = start + i
    if (
      name[at] !== UNDERSCORE &&
      name[at + 1] === UNDERSCORE &&
      name[at + 2] === UNDERSCORE &&
      name[at + 3] === UNDERSCORE &&
      name[at + 4] !== UNDERSCORE
    ) {
      return i + 1
    }
  }
  return length
}

/** A name without its flavor: `task_struct___old` is `task_struct`. */
export function essentialName(name: string): string {
  return name.includes('___')
    ? name.slice(0, essentialNameLength(Buffer.from(name, 'latin1'), 0, name.length))
    : name
}

/**
 * A BTF's own named types by essential name: a hash table with chains, in typed arrays. Names are hashed where they
 * lie, so no string is made for the twenty thousand types that nobody asks for.
 */
export class NameIndex {
  readonly #btf: Btf
  readonly #mask: number
  /** Head of each bucket's chain: an own index + 1, 0 for none. */
  readonly #heads: Uint32Array
  readonly #next: Uint32Array

  constructor(btf: Btf) {
    const { words, starts } = btf
    const count = starts.length - 1
    const text = btf.strings
    let buckets = 1024
    while (buckets < count / 4) buckets *= 2
    this.#btf = btf
    this.#mask = buckets - 1
    this.#heads = new Uint32Array(buckets)
    this.#next = new Uint32Array(count)
    // From the last to the first, so that each chain ascends.
    for (let i = count - 1; i >= 0; i--) {
      const start = starts[i] as number
      const nameOffset = words[start] as number
      const kind = ((words[start + 1] as number) >>> 24) & 0x7f
      if (nameOffset === 0 || NOT_INDEXED.has(kind) || kind > Kind.ENUM64) continue
      // A name in the base's strings (split BTF) or behind the end is left to whoever validates.
      const table = nameOffset < text.start ? text.base : text
      if (table === null || nameOffset >= table.end) continue
      const from = nameOffset - table.start
      const end = table.bytes.indexOf(0, from)
      const length = essentialNameLength(table.bytes, from, end - from)
      const bucket = hashBytes(table.bytes, from, length) & this.#mask
      this.#next[i] = this.#heads[bucket] as number
      this.#heads[bucket] = i + 1
    }
  }

  /** Own ids whose essential name is `name`, ascending. */
  find(name: string): number[] {
    const bytes = Buffer.from(name, 'latin1')
    const found: number[] = []
    let at = this.#heads[hashBytes(bytes, 0, bytes.length) & this.#mask] as number
    for (; at !== 0; at = this.#next[at - 1] as number) {
      const id = this.#btf.firstId + at - 1
      if (essentialName(this.#btf.name(id)) === name) found.push(id)
    }
    return found
  }
}

/** FNV-1a, 32 bits. */
function hashBytes(bytes: Uint8Array, start: number, length: number): number {
  let hash = 0x811c9dc5
  for (let i = start; i < start + length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}
