import { limits } from '../core/limits.ts'
import type { Btf } from './btf.ts'
import { RecordEquality } from './dedup-equal.ts'
import { tooManySteps } from './dedup-forms.ts'
import { MutableRecords } from './dedup-records.ts'
import { mergeEqualTypes } from './dedup-refine.ts'
import { BtfWriter } from './encode.ts'
import { BtfError, malformedType } from './errors.ts'
import { Kind } from './wire.ts'

export interface DedupOptions {
  /**
   * True merges types that nothing can tell apart before libbpf's rules are applied, which assume that the types of one
   * compilation unit are there once: BTF that was deduplicated by halves needs it. Never finds less than without.
   */
  readonly mergeEqual?: boolean
  /** Other names for types and members, before anything is compared; see {@link withoutKabiNumber}. */
  readonly rename?: (name: string) => string
}

/**
 * Takes the number off names that RHEL's macros make (`__UNIQUE_ID(rh_kabi_hide)`, include/linux/rh_kabi.h): it is the
 * preprocessor's counter, which differs from unit to unit, so that each unit has structs of its own. What pahole does
 * with `--kabi_prefix`. The members are what a struct no longer has; no program reads them by that name.
 */
export function withoutKabiNumber(name: string): string {
  return KABI_HIDE.test(name) ? KABI_PREFIX : name
}
const KABI_PREFIX = '__UNIQUE_ID_rh_kabi_hide'
const KABI_HIDE = /^__UNIQUE_ID_rh_kabi_hide\d+$/

/**
 * A BTF in which no type is there twice, by the rules of libbpf's btf__dedup (its comment in btf.c, "BTF dedup
 * algorithm", and Andrii Nakryiko's "Enhancing the Linux kernel with BTF type information"): strings; types that
 * refer to none; structs and unions by equivalence of the graphs that they span, forward declarations resolved on the
 * way; then what refers. Types keep their order; variables and sections stay as they are. The same BTF gives the same
 * bytes. Takes whole BTF whose references hold (`validateBtf`), no split one.
 * Throws BtfError `NEEDS_BASE`, `UNSUPPORTED` for kinds that only a layout section describes, `MALFORMED` for
 * references that go in a circle without a struct, `LIMIT` where comparing takes more than `limits.btf.maxDedupSteps`.
 */
export function dedupBtf(btf: Btf, options: DedupOptions = {}): Uint8Array {
  if (btf.base !== null)
    throw new BtfError('NEEDS_BASE', 'split BTF: merge it with its base to deduplicate it')
  const records = new MutableRecords(btf)
  records.checkTypes()
  const writer = new BtfWriter()
  shareStrings(btf, records, writer, options.rename ?? ((name) => name))
  const { canonical } = new Deduplication(
    records,
    options.mergeEqual === true ? mergeEqualTypes(records) : null,
  ).run()
  return write(records, canonical, writer).finish(btf.endian)
}

function shareStrings(
  btf: Btf,
  records: MutableRecords,
  writer: BtfWriter,
  rename: (name: string) => string,
): void {
  const shared = new Map<number, number>()
  for (let id = 1; id < records.idCount; id++) {
    records.mapNames(id, (offset) => {
      let name = shared.get(offset)
      if (name === undefined) shared.set(offset, (name = writer.string(rename(btf.nameAt(id, offset)))))
      return name
    })
  }
}

function write(records: MutableRecords, canonical: Int32Array, writer: BtfWriter): BtfWriter {
  const newIds = new Uint32Array(records.idCount)
  for (let id = 1, next = 1; id < records.idCount; id++) if (canonical[id] === id) newIds[id] = next++
  for (let id = 1; id < records.idCount; id++) {
    if (canonical[id] !== id) continue
    records.mapTypes(id, (type) => newIds[canonical[type]!] as number)
    const trailing = records.words.subarray(records.trailing(id), records.end(id))
    writer.add(records.name(id), records.info(id), records.third(id), trailing)
  }
  return writer
}

const UNPROCESSED = -1
const IN_PROGRESS = -2

const PRIMITIVES: ReadonlySet<number> = new Set([Kind.INT, Kind.ENUM, Kind.ENUM64, Kind.FWD, Kind.FLOAT])

class Deduplication {
  readonly #records: MutableRecords
  readonly #equal: RecordEquality
  /** For each id the one that stands for it: itself, or another that may have one in turn. */
  readonly #map: Int32Array
  /** Canonical ids by hash, the latest first, as libbpf meets them. */
  readonly #heads = new Map<number, number>()
  readonly #next: Int32Array
  /** While two graphs are compared: for an id of the canonical one, that of the candidate which it must be. */
  readonly #assumed: Int32Array
  #assumptions: number[] = []
  #steps = 0

  /** `merged`: for each id one that is known to be the same. */
  constructor(records: MutableRecords, merged: Int32Array | null) {
    this.#records = records
    this.#equal = new RecordEquality(records)
    this.#map = new Int32Array(records.idCount).fill(UNPROCESSED)
    this.#next = new Int32Array(records.idCount)
    this.#assumed = new Int32Array(records.idCount).fill(UNPROCESSED)
    if (merged === null) return
    for (let id = 1; id < records.idCount; id++) {
      if (merged[id] !== id) this.#map[id] = merged[id]!
      records.mapTypes(id, (type) => merged[type]!)
    }
  }

  run(): { readonly canonical: Int32Array } {
    const count = this.#records.idCount
    this.#map[0] = 0
    for (let id = 1; id < count; id++) {
      const kind = this.#records.kind(id)
      // What names a place in memory is one of its kind.
      if (kind === Kind.VAR || kind === Kind.DATASEC) this.#map[id] = id
    }
    for (let id = 1; id < count; id++) this.#primitive(id)
    for (let id = 1; id < count; id++) this.#struct(id)
    this.#resolveForwards()
    for (let id = 1; id < count; id++) this.#reference(id)
    const canonical = new Int32Array(count)
    for (let id = 1; id < count; id++) canonical[id] = this.#resolve(id)
    return { canonical }
  }

  #primitive(id: number): void {
    const kind = this.#records.kind(id)
    if (!PRIMITIVES.has(kind) || this.#map[id] !== UNPROCESSED) return
    const equal = this.#equal
    const isEnum = equal.isEnum(id)
    // Enums are found by name, so that one that is declared only meets the one that has the values.
    const hash = equal.hash(id, isEnum ? 'name' : 'whole') ^ (isEnum ? 0 : kind)
    let found = id
    for (let other = this.#first(hash); other !== 0 && found === id; other = this.#next[other]!) {
      if (isEnum !== equal.isEnum(other)) continue
      if (equal.whole(id, other)) found = other
      else if (isEnum && equal.compatibleEnums(id, other)) {
        if (equal.isEnumForward(id)) found = other
        else this.#map[other] = id
      }
    }
    this.#settle(id, found, hash)
  }

  #struct(id: number): void {
    const kind = this.#records.kind(id)
    if ((kind !== Kind.STRUCT && kind !== Kind.UNION) || this.#map[id] !== UNPROCESSED) return
    const hash = this.#equal.hash(id, 'structShape')
    let found = id
    for (let other = this.#first(hash); other !== 0; other = this.#next[other]!) {
      if (!this.#equal.structShape(id, other)) continue
      this.#forget()
      if (!this.#equivalent(id, other)) continue
      this.#believe()
      found = other
      break
    }
    this.#settle(id, found, hash)
  }

  /**
   * True where the graph from `candidate` is that from `canon`, under assumptions made on the way (btf_dedup_is_equiv).
   * All that is asked must hold: pairs wait on a stack, in the order in which a recursion would come to them.
   */
  #equivalent(candidate: number, canon: number): boolean {
    const waiting: number[] = [candidate, canon]
    while (waiting.length > 0) {
      const b = waiting.pop() as number
      const a = waiting.pop() as number
      if (++this.#steps > limits.btf.maxDedupSteps) throw tooManySteps()
      if (!this.#comparePair(a, b, waiting)) return false
    }
    return true
  }

  #comparePair(a: number, canon: number, waiting: number[]): boolean {
    if (this.#resolve(a) === this.#resolve(canon)) return true
    const b = this.#resolveForward(canon)
    const assumed = this.#assumed[b]!
    if (assumed !== UNPROCESSED) {
      // Compilers make several copies of one array or struct for the members of a single struct.
      return assumed === a || this.#sameArrays(assumed, a) || this.#sameStructs(assumed, a, 0)
    }
    this.#assumed[b] = a
    this.#assumptions.push(b)
    const r = this.#records
    if (r.name(a) !== r.name(b)) return false
    const [kindA, kindB] = [r.kind(a), r.kind(b)]
    if (kindA !== kindB) {
      if (kindA === Kind.FWD) return this.#declares(a, kindB)
      return kindB === Kind.FWD && this.#declares(b, kindA)
    }
    return this.#compareRecords(a, b, kindA, waiting)
  }

  #compareRecords(a: number, b: number, kind: number, waiting: number[]): boolean {
    const r = this.#records
    const equal = this.#equal
    switch (kind) {
      case Kind.INT:
        return equal.whole(a, b)
      case Kind.ENUM:
      case Kind.ENUM64:
        return equal.compatibleEnums(a, b)
      case Kind.FWD:
      case Kind.FLOAT:
        return equal.common(a, b)
      case Kind.PTR:
      case Kind.TYPEDEF:
      case Kind.VOLATILE:
      case Kind.CONST:
      case Kind.RESTRICT:
      case Kind.FUNC:
      case Kind.TYPE_TAG:
        if (r.info(a) !== r.info(b)) return false
        waiting.push(r.third(a), r.third(b))
        return true
      case Kind.ARRAY: {
        if (!equal.arrayShape(a, b)) return false
        const [atA, atB] = [r.trailing(a), r.trailing(b)]
        waiting.push(r.words[atA]!, r.words[atB]!, r.words[atA + 1]!, r.words[atB + 1]!)
        return true
      }
      case Kind.STRUCT:
      case Kind.UNION:
        if (!equal.structShape(a, b)) return false
        this.#pushElements(a, b, 3, waiting)
        return true
      case Kind.FUNC_PROTO:
        if (!equal.prototypeShape(a, b)) return false
        this.#pushElements(a, b, 2, waiting)
        waiting.push(r.third(a), r.third(b))
        return true
      default:
        return false
    }
  }

  /** The types of elements, the first on top. */
  #pushElements(a: number, b: number, step: number, waiting: number[]): void {
    const { words } = this.#records
    const [atA, atB] = [this.#records.trailing(a) + 1, this.#records.trailing(b) + 1]
    for (let i = (this.#records.vlen(a) - 1) * step; i >= 0; i -= step) {
      waiting.push(words[atA + i]!, words[atB + i]!)
    }
  }

  #declares(forward: number, kind: number): boolean {
    return kind === (this.#isUnionForward(forward) ? Kind.UNION : Kind.STRUCT)
  }

  #isUnionForward(forward: number): boolean {
    return this.#records.info(forward) >>> 31 === 1
  }

  #sameArrays(a: number, b: number): boolean {
    return (
      this.#records.kind(a) === Kind.ARRAY && this.#records.kind(b) === Kind.ARRAY && this.#equal.whole(a, b)
    )
  }

  #sameStructs(a: number, b: number, depth: number): boolean {
    const kind = this.#records.kind(a)
    if ((kind !== Kind.STRUCT && kind !== Kind.UNION) || kind !== this.#records.kind(b)) return false
    if (depth > limits.btf.maxDepth || !this.#equal.structShape(a, b)) return false
    const { words } = this.#records
    const [atA, atB] = [this.#records.trailing(a) + 1, this.#records.trailing(b) + 1]
    for (let i = 0; i < this.#records.vlen(a) * 3; i += 3) {
      const [typeA, typeB] = [words[atA + i]!, words[atB + i]!]
      this.#steps++
      if (typeA === typeB || this.#sameArrays(typeA, typeB)) continue
      if (!this.#sameStructs(typeA, typeB, depth + 1)) return false
    }
    return true
  }

  /** What was assumed has proved true: declarations are what they declare, structs the ones they equal. */
  #believe(): void {
    const r = this.#records
    for (const assumption of this.#assumptions) {
      const canon = this.#resolve(assumption)
      const candidate = this.#resolve(this.#assumed[assumption]!)
      const [canonKind, candidateKind] = [r.kind(canon), r.kind(candidate)]
      if (canonKind !== Kind.FWD && candidateKind === Kind.FWD) this.#map[candidate] = canon
      else if (canonKind === Kind.FWD && candidateKind !== Kind.FWD) this.#map[canon] = candidate
      const isStruct = canonKind === Kind.STRUCT || canonKind === Kind.UNION
      if (!isStruct || candidateKind === Kind.FWD) continue
      if (this.#map[canon]! >= 0 && this.#map[candidate] === UNPROCESSED) this.#map[candidate] = canon
    }
  }

  #forget(): void {
    for (const assumption of this.#assumptions) this.#assumed[assumption] = UNPROCESSED
    this.#assumptions = []
  }

  /** A declaration that no graph led to its struct is of the only struct of that name (btf_dedup_resolve_fwds). */
  #resolveForwards(): void {
    const r = this.#records
    const byName = new Map<number, number>()
    for (let id = 1; id < r.idCount; id++) {
      const kind = r.kind(id)
      if ((kind !== Kind.STRUCT && kind !== Kind.UNION) || this.#map[id] !== id) continue
      byName.set(r.name(id), byName.has(r.name(id)) ? 0 : id)
    }
    for (let id = 1; id < r.idCount; id++) {
      if (r.kind(id) !== Kind.FWD || this.#map[id] !== id) continue
      const only = byName.get(r.name(id)) ?? 0
      if (only !== 0 && this.#declares(id, r.kind(only))) this.#map[id] = only
    }
  }

  /** Settles a type that refers to others after those that it refers to. */
  #reference(id: number): void {
    const waiting = [id]
    while (waiting.length > 0) {
      const top = waiting.at(-1) as number
      const state = this.#map[top]!
      if (state >= 0) {
        waiting.pop()
        continue
      }
      this.#map[top] = IN_PROGRESS
      const open = waiting.length
      this.#records.mapTypes(top, (type) => {
        if (this.#map[type] === IN_PROGRESS) {
          throw malformedType(
            type,
            this.#records.starts[type]! * 4,
            'refers to itself without a struct between',
          )
        }
        if (this.#map[type] === UNPROCESSED) waiting.push(type)
        return type
      })
      if (waiting.length > open) continue
      this.#records.mapTypes(top, (type) => this.#resolve(type))
      const hash = this.#equal.hash(top, 'whole') ^ this.#records.kind(top)
      let found = top
      for (let other = this.#first(hash); other !== 0; other = this.#next[other]!) {
        if (!this.#equal.whole(top, other)) continue
        found = other
        break
      }
      this.#settle(top, found, hash)
      waiting.pop()
    }
  }

  #first(hash: number): number {
    return this.#heads.get(hash) ?? 0
  }

  #settle(id: number, canonical: number, hash: number): void {
    this.#map[id] = canonical
    if (canonical !== id) return
    this.#next[id] = this.#first(hash)
    this.#heads.set(hash, id)
  }

  #resolve(id: number): number {
    let at = id
    for (let to = this.#map[at]!; to >= 0 && to !== at; to = this.#map[at]!) at = to
    return at
  }

  /** What a declaration was resolved to; the declaration itself where it was not. */
  #resolveForward(id: number): number {
    if (this.#records.kind(id) !== Kind.FWD) return id
    const resolved = this.#resolve(id)
    return this.#records.kind(resolved) === Kind.FWD ? id : resolved
  }
}
