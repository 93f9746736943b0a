import { limits } from '../core/limits.ts'
import type { TypeGraph } from './dedup-graph.ts'
import { BtfError } from './errors.ts'
import { Kind } from './wire.ts'

/**
 * For each id the first that has its form: what C says of a type in the place where it is declared. Equal words, and
 * references to equal forms, but to structs and unions that have a name by that name alone, whatever they are there.
 * Variables and sections are each one of their kind.
 *
 * Found by colours that take in those of what is referred to until no more forms part, and then held word by word
 * against the first of each form, so that colours that meet by chance or by intent are an error (BtfError `MALFORMED`).
 */
export function formsOf(graph: TypeGraph): Int32Array {
  const own = ownColours(graph)
  let colours = own
  let known = 0
  let steps = 0
  for (;;) {
    const { count, first } = classify(colours)
    if (count === known) {
      check(graph, first)
      return first
    }
    known = count
    // Every round settles what is one reference further away, of which what compilers make has a dozen.
    if ((steps += colours.a.length) > limits.btf.maxDedupSteps) throw tooManySteps()
    colours = refine(graph, colours)
  }
}

/** 64 bits for each id, in two lanes that JavaScript can multiply. */
interface Colours {
  readonly a: Uint32Array
  readonly b: Uint32Array
}

function ownColours({ records, first, words }: TypeGraph): Colours {
  const count = records.idCount
  const own = { a: new Uint32Array(count), b: new Uint32Array(count) }
  for (let id = 1; id < count; id++) {
    const kind = records.kind(id)
    let [a, b] = kind === Kind.VAR || kind === Kind.DATASEC ? [id, id] : [0, 0]
    let slot = first[id]!
    for (let at = records.starts[id]!; at < records.end(id); at++) {
      const isReference = slot < first[id + 1]! && words[slot] === at
      if (isReference) slot++
      const word = isReference ? 0 : records.words[at]!
      a = mix(a, word, 0xcc9e2d51)
      b = mix(b, word, 0x1b873593)
    }
    own.a[id] = a
    own.b[id] = b
  }
  return own
}

function refine({ first, children, tags }: TypeGraph, old: Colours): Colours {
  const count = old.a.length
  const next: Colours = { a: new Uint32Array(count), b: new Uint32Array(count) }
  for (let id = 1; id < count; id++) {
    let [a, b] = [old.a[id]!, old.b[id]!]
    for (let slot = first[id]!; slot < first[id + 1]!; slot++) {
      const child = children[slot]!
      a = mix(a, tags[child]! || old.a[child]!, 0xcc9e2d51)
      b = mix(b, tags[child]! || old.b[child]!, 0x1b873593)
    }
    next.a[id] = a
    next.b[id] = b
  }
  return next
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

function check({ records, first, children, words, tags }: TypeGraph, forms: Int32Array): void {
  const isSameReference = (a: number, b: number): boolean =>
    tags[a]! !== 0 || tags[b]! !== 0 ? tags[a] === tags[b] : forms[a] === forms[b]
  for (let id = 1; id < forms.length; id++) {
    const form = forms[id]!
    if (form === id) continue
    const length = records.end(id) - records.starts[id]!
    let isSame = length === records.end(form) - records.starts[form]!
    let slot = first[id]!
    const shift = first[form]! - slot
    for (let i = 0; i < length && isSame; i++) {
      if (slot < first[id + 1]! && words[slot] === records.starts[id]! + i) {
        isSame = isSameReference(children[slot]!, children[slot + shift]!)
        slot++
      } else isSame = records.words[records.starts[id]! + i] === records.words[records.starts[form]! + i]
    }
    if (!isSame) throw new BtfError('MALFORMED', `deduplication: type ids ${id} and ${form} collide`)
  }
}

/** What comparing costs is bounded, whatever the types. */
export function tooManySteps(): BtfError {
  return new BtfError('LIMIT', `deduplication: more than ${limits.btf.maxDedupSteps} pairs of types compared`)
}

function mix(state: number, word: number, factor: number): number {
  let k = Math.imul(word, factor)
  k = Math.imul((k << 15) | (k >>> 17), 0x85ebca6b)
  const h = state ^ k
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) >>> 0
}
