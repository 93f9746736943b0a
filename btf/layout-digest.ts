import { sha256Of, type Sha256 } from '../core/digest.ts'
import type { Btf } from './btf.ts'
import { hostEndian } from './bytes.ts'
import type { StringTable } from './strings.ts'
import { Kind } from './wire.ts'

/** Kinds that a CO-RE relocation can start from: named, and not about functions or variables. */
const ROOT_KINDS: ReadonlySet<number> = new Set([
  Kind.INT,
  Kind.STRUCT,
  Kind.UNION,
  Kind.ENUM,
  Kind.ENUM64,
  Kind.FWD,
  Kind.TYPEDEF,
  Kind.FLOAT,
])

/**
 * Digest of all that CO-RE can look at: every named type and what it reaches, but no functions, variables, sections
 * or tags. Independent of ids, order and duplicates: BTFs of equal layout digest are interchangeable for relocation.
 *
 * Colour refinement (Weisfeiler and Leman): each type begins with a hash of its own record, names included, and takes
 * in the colours of the types it refers to, again and again until no two types part any more. Types that are then
 * of one colour cannot be told apart by walking names, which is all that relocation does. The digest is that of the
 * sorted set of colours.
 */
export function layoutDigest(btf: Btf): Sha256 {
  const graph = buildGraph(btf)
  let colours = graph.own
  let distinct = 0
  for (;;) {
    const set = sortedSet(colours, graph.reached)
    // A refinement that parts nothing will part nothing later either: the one before was already stable.
    if (set.length === distinct) return sha256Of(toBytes(set))
    distinct = set.length
    colours = refine(graph, colours)
  }
}

/** 64 bits for each id, in two lanes that JavaScript can multiply. */
interface Colours {
  readonly a: Uint32Array
  readonly b: Uint32Array
}

interface Graph {
  readonly own: Colours
  /** Where the references of an id start in `children`; one more entry marks the end. */
  readonly firstChild: Uint32Array
  readonly children: Uint32Array
  /** Ids that a named type reaches, itself included. */
  readonly reached: Uint32Array
}

function buildGraph(btf: Btf): Graph {
  const count = btf.idCount
  const own: Colours = { a: new Uint32Array(count), b: new Uint32Array(count) }
  const firstChild = new Uint32Array(count + 1)
  const names = new NameHashes(btf.strings)
  const children: number[] = []
  const hash = new Mixer()

  for (let id = 1; id < count; id++) {
    const kind = btf.kind(id)
    const vlen = btf.vlen(id)
    firstChild[id] = children.length
    hash.reset(kind, btf.kindFlag(id) ? 1 : 0)
    // Names of prototypes' parameters and of tags are not looked at.
    if (kind !== Kind.FUNC_PROTO) names.addTo(hash, btf.nameOffset(id))
    switch (kind) {
      case Kind.INT:
        hash.add(btf.sizeOrType(id), btf.word(id, 3))
        break
      case Kind.FLOAT:
        hash.add(btf.sizeOrType(id), 0)
        break
      case Kind.ARRAY:
        hash.add(btf.word(id, 5), 0)
        children.push(btf.word(id, 3))
        break
      case Kind.STRUCT:
      case Kind.UNION:
        hash.add(btf.sizeOrType(id), vlen)
        for (let i = 0; i < vlen; i++) {
          names.addTo(hash, btf.word(id, 3 + i * 3))
          hash.add(btf.word(id, 5 + i * 3), 0)
          children.push(btf.word(id, 4 + i * 3))
        }
        break
      case Kind.ENUM:
      case Kind.ENUM64: {
        const step = kind === Kind.ENUM ? 2 : 3
        hash.add(btf.sizeOrType(id), vlen)
        for (let i = 0; i < vlen; i++) {
          names.addTo(hash, btf.word(id, 3 + i * step))
          hash.add(btf.word(id, 4 + i * step), step === 3 ? btf.word(id, 5 + i * step) : 0)
        }
        break
      }
      case Kind.FUNC_PROTO:
        hash.add(vlen, 0)
        children.push(btf.sizeOrType(id))
        for (let i = 0; i < vlen; i++) children.push(btf.word(id, 4 + i * 2))
        break
      case Kind.PTR:
      case Kind.TYPEDEF:
      case Kind.VOLATILE:
      case Kind.CONST:
      case Kind.RESTRICT:
      case Kind.TYPE_TAG:
        children.push(btf.sizeOrType(id))
        break
      // FWD is its name and flag; all others are not looked at.
    }
    own.a[id] = hash.a
    own.b[id] = hash.b
  }
  firstChild[count] = children.length
  const edges = Uint32Array.from(children)
  return { own, firstChild, children: edges, reached: reach(btf, firstChild, edges) }
}

function reach(btf: Btf, firstChild: Uint32Array, children: Uint32Array): Uint32Array {
  const seen = new Uint8Array(btf.idCount)
  const queue = new Uint32Array(btf.idCount)
  let used = 0
  const visit = (id: number): void => {
    if (id === 0 || id >= btf.idCount || seen[id] === 1) return
    seen[id] = 1
    queue[used++] = id
  }
  for (let id = 1; id < btf.idCount; id++) {
    if (ROOT_KINDS.has(btf.kind(id)) && btf.nameOffset(id) !== 0) visit(id)
  }
  for (let at = 0; at < used; at++) {
    const id = queue[at]!
    for (let c = firstChild[id]!; c < firstChild[id + 1]!; c++) visit(children[c]!)
  }
  return queue.subarray(0, used)
}

function refine(graph: Graph, old: Colours): Colours {
  const next: Colours = { a: new Uint32Array(old.a.length), b: new Uint32Array(old.b.length) }
  const hash = new Mixer()
  for (const id of graph.reached) {
    hash.reset(old.a[id]!, old.b[id]!)
    for (let c = graph.firstChild[id]!; c < graph.firstChild[id + 1]!; c++) {
      const child = graph.children[c]!
      hash.add(old.a[child] ?? 0, old.b[child] ?? 0)
    }
    next.a[id] = hash.a
    next.b[id] = hash.b
  }
  return next
}

function sortedSet(colours: Colours, ids: Uint32Array): BigUint64Array {
  const lanes = new Uint32Array(ids.length * 2)
  for (let i = 0; i < ids.length; i++) {
    lanes[i * 2] = colours.a[ids[i]!]!
    lanes[i * 2 + 1] = colours.b[ids[i]!]!
  }
  const sorted = new BigUint64Array(lanes.buffer).sort()
  let kept = 0
  for (let i = 0; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[kept++] = sorted[i]!
  }
  return sorted.subarray(0, kept)
}

/** The same bytes on every machine. */
function toBytes(set: BigUint64Array): Uint8Array {
  const bytes = Buffer.from(set.slice().buffer)
  return hostEndian === 'little' ? bytes : bytes.swap64()
}

/** Two independent 32-bit mixers in the manner of MurmurHash3, fed with pairs of words. */
class Mixer {
  a = 0
  b = 0

  reset(x: number, y: number): void {
    this.a = 0x9747b28c
    this.b = 0x5bd1e995
    this.add(x, y)
  }

  add(x: number, y: number): void {
    this.a = mix(mix(this.a, x, 0xcc9e2d51), y, 0xcc9e2d51)
    this.b = mix(mix(this.b, y, 0x1b873593), x, 0x1b873593)
  }
}

function mix(state: number, word: number, factor: number): number {
  let k = Math.imul(word, factor)
  k = Math.imul((k << 15) | (k >>> 17), 0x85ebca6b)
  const h = state ^ k
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) >>> 0
}

/** Hashes of names, each computed once, however many members have it. */
class NameHashes {
  readonly #strings: StringTable
  readonly #a: Uint32Array
  readonly #b: Uint32Array
  readonly #mixer = new Mixer()

  constructor(strings: StringTable) {
    this.#strings = strings
    this.#a = new Uint32Array(strings.end)
    this.#b = new Uint32Array(strings.end)
  }

  addTo(hash: Mixer, offset: number): void {
    if (this.#a[offset] === 0 && this.#b[offset] === 0) this.#compute(offset)
    hash.add(this.#a[offset] ?? 0, this.#b[offset] ?? 0)
  }

  #compute(offset: number): void {
    let table = this.#strings
    while (offset < table.start && table.base !== null) table = table.base
    const bytes = table.bytes
    let at = offset - table.start
    this.#mixer.reset(0, 0)
    for (; at < bytes.length && bytes[at] !== 0; at++) this.#mixer.add(bytes[at]!, 0)
    this.#a[offset] = this.#mixer.a
    this.#b[offset] = this.#mixer.b
  }
}
