import { limits } from '../core/limits.ts'
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

/** By kind, 1 for those that are found by name; a table because it is asked for every type of a kernel. */
const INDEXED = Uint8Array.from({ length: Kind.ENUM64 + 1 }, (_, kind) => (NOT_INDEXED.has(kind) ? 0 : 1))

/** Whether types of a kind are found by name. */
export function isIndexed(kind: number): boolean {
  return INDEXED[kind] === 1
}

const UNDERSCORE = 0x5f

/**
 * A name without its flavor: `task_struct___old` is `task_struct`. The flavor begins at the last `___` that has
 * something other than `_` on both sides; follows bpf_core_essential_name_len of libbpf (relo_core.c).
 */
export function essentialName(name: string): string {
  for (let at = name.lastIndexOf('___'); at > 0; at = name.lastIndexOf('___', at - 1)) {
    const after = name[at + 3]
    if (name[at - 1] !== '_' && after !== undefined && after !== '_') return name.slice(0, at)
  }
  return name
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
      if (nameOffset === 0 || !isIndexed(kind)) continue
      // A name behind the end is left to whoever validates.
      const table = nameOffset >= text.start ? text : text.tableOf(nameOffset)
      if (table === null || nameOffset >= table.end) continue
      const hash = hashEssential(table.bytes, nameOffset - table.start)
      if (hash === null) continue
      const bucket = hash & this.#mask
      this.#next[i] = this.#heads[bucket] as number
      this.#heads[bucket] = i + 1
    }
  }

  /** Own ids whose essential name is `name`, ascending. */
  find(name: string): number[] {
    const found: number[] = []
    let at = this.#heads[hashName(name) & this.#mask] as number
    for (; at !== 0; at = this.#next[at - 1] as number) {
      const id = this.#btf.firstId + at - 1
      if (essentialName(this.#btf.name(id)) === name) found.push(id)
    }
    return found
  }
}

/**
 * FNV-1a, 32 bits, over the essential part of the NUL-terminated name at `start`. One pass: the hash as it was at the
 * last flavor's separator is what counts. Null for names longer than any.
 */
function hashEssential(bytes: Uint8Array, start: number): number | null {
  const limit = start + limits.btf.maxNameBytes
  let hash = FNV_BASIS
  let essential = -1
  let at = start
  for (; bytes[at] !== 0; at++) {
    if (at === limit) return null
    if (at > start && isFlavorSeparator(bytes, at)) essential = hash
    hash = fnvStep(hash, bytes[at] as number)
  }
  return finishHash(essential === -1 ? hash : essential)
}

/** A `___` at `at`, with something other than `_` on both sides. */
function isFlavorSeparator(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at] === UNDERSCORE &&
    bytes[at - 1] !== UNDERSCORE &&
    bytes[at + 1] === UNDERSCORE &&
    bytes[at + 2] === UNDERSCORE &&
    bytes[at + 3] !== UNDERSCORE &&
    bytes[at + 3] !== 0
  )
}

function hashName(name: string): number {
  let hash = FNV_BASIS
  for (let i = 0; i < name.length; i++) hash = fnvStep(hash, name.charCodeAt(i))
  return finishHash(hash)
}

const FNV_BASIS = 0x811c9dc5

function fnvStep(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193) >>> 0
}

function finishHash(hash: number): number {
  return (hash ^ (hash >>> 15)) >>> 0
}
