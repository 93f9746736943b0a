import { type Endian } from './bytes.ts'
import { BtfError, malformedType } from './errors.ts'
import { inflate } from './inflate.ts'
import { essentialName, NameIndex } from './name-index.ts'
import { scanNames } from './name-scan.ts'
import { StringTable } from './strings.ts'
import type { BtfType } from './types.ts'
import {
  type BtfHeader,
  infoKind,
  infoKindFlag,
  infoVlen,
  kindName,
  readBtfHeader,
  RECORD_WORDS,
  recordSizes,
  type RecordSizes,
  typeWords,
} from './wire.ts'
import { limits } from '../core/limits.ts'

/**
 * A parsed BTF: an index of where each record starts, and the records as words. No object per type exists until
 * {@link Btf.type} is asked for one; what is hot reads words through {@link Btf.kind} and its like.
 *
 * Ids below {@link Btf.firstId} belong to the base of a split BTF and are answered by it.
 */
export class Btf {
  /** The bytes that were parsed, without anything behind the last section. */
  readonly bytes: Uint8Array
  readonly header: BtfHeader
  readonly base: Btf | null
  readonly strings: StringTable
  /** The first id of this BTF's own types: 1, or the base's count of ids for split BTF. */
  readonly firstId: number
  /** One above the highest id; void counts. */
  readonly idCount: number
  readonly recordSizes: RecordSizes
  readonly #words: Uint32Array
  /** Word index of each own record; one more entry marks the end. */
  readonly #starts: Uint32Array
  #names: NameIndex | null = null
  #isScanned = false

  /** See {@link parseBtf}. */
  constructor(bytes: Uint8Array, base: Btf | null) {
    const header = readBtfHeader(bytes)
    if (base !== null && base.endian !== header.endian) {
      throw new BtfError('MALFORMED', `split BTF is ${header.endian}-endian, its base ${base.endian}-endian`)
    }
    this.bytes = bytes.subarray(0, header.totalBytes)
    this.header = header
    this.base = base
    this.strings = new StringTable(
      bytes.subarray(header.stringsOffset, header.stringsOffset + header.stringsBytes),
      base?.strings ?? null,
    )
    this.recordSizes = recordSizes(bytes, header, base?.recordSizes ?? null)
    this.#words = typeWords(bytes, header)
    this.firstId = base?.idCount ?? 1
    this.#starts = indexRecords(this.#words, this.recordSizes, this.firstId, header.typesOffset)
    this.idCount = this.firstId + this.#starts.length - 1
  }

  get endian(): Endian {
    return this.header.endian
  }

  /** Where a record starts, in bytes from the first of the file that has it. Throws BtfError `MALFORMED`. */
  byteOffset(id: number): number {
    const owner = this.#ownerOf(id)
    return owner.header.typesOffset + owner.#startOf(id) * 4
  }

  kind(id: number): number {
    return id === 0 ? 0 : infoKind(this.word(id, 1))
  }

  vlen(id: number): number {
    return id === 0 ? 0 : infoVlen(this.word(id, 1))
  }

  kindFlag(id: number): boolean {
    return id !== 0 && infoKindFlag(this.word(id, 1))
  }

  nameOffset(id: number): number {
    return id === 0 ? 0 : this.word(id, 0)
  }

  /** Name of a type, empty for void and the anonymous. */
  name(id: number): string {
    return this.nameAt(id, this.nameOffset(id))
  }

  /** The string at an offset that the record of `id` names. Throws BtfError `MALFORMED` with that id. */
  nameAt(id: number, offset: number): string {
    if (offset === 0) return ''
    try {
      return this.strings.at(offset)
    } catch (err) {
      if (err instanceof BtfError) throw malformedType(id, this.byteOffset(id), err.message)
      throw err
    }
  }

  /** The third word: a size in bytes or a type id, as the kind has it. */
  sizeOrType(id: number): number {
    return id === 0 ? 0 : this.word(id, 2)
  }

  /**
   * Word `index` of a record, counted from its name_off; it must be one that a record of that kind and vlen has.
   * Throws BtfError `MALFORMED` for an id that has no record: one that is not there, or void.
   */
  word(id: number, index: number): number {
    // Written out for the own ids: everything that reads a whole BTF comes through here.
    const start = this.#starts[id - this.firstId]
    if (start !== undefined && id < this.idCount) return this.#words[start + index] as number
    const owner = this.#ownerOf(id)
    return owner.#words[owner.#startOf(id) + index] as number
  }

  /** Words of a record, trailing data included; 0 for void. Throws BtfError `MALFORMED` where there is none. */
  wordCount(id: number): number {
    if (id === 0) return 0
    const owner = this.#ownerOf(id)
    return (owner.#starts[id - owner.firstId + 1] as number) - owner.#startOf(id)
  }

  has(id: number): boolean {
    return Number.isInteger(id) && id >= 0 && id < this.idCount
  }

  /** A type as an object, made anew at each call. Throws BtfError `MALFORMED` where there is none of that id. */
  type(id: number): BtfType {
    return inflate(this, id)
  }

  /** Ids of the types (FUNC, VAR and the like aside) of exactly that name, ascending, the base's included. */
  idsByName(name: string): number[] {
    return this.idsByEssentialName(essentialName(name)).filter((id) => this.name(id) === name)
  }

  /** Ids of the types that have that name when their `___flavor` is taken off, as CO-RE looks up candidates. */
  idsByEssentialName(name: string): number[] {
    this.#names ??= new NameIndex(this)
    const own = this.#names.find(name)
    return this.base === null ? own : [...this.base.idsByEssentialName(name), ...own]
  }

  /**
   * The same for several names at once. Who asks for the first time, for a few, gets them from one pass over all types;
   * who asks again, from an index.
   */
  idsByEssentialNames(names: readonly string[]): Map<string, readonly number[]> {
    if (this.#names === null && !this.#isScanned && names.length <= MAX_SCANNED) {
      this.#isScanned = true
      const own = scanNames(this, names)
      const below = this.base?.idsByEssentialNames(names)
      return below === undefined
        ? own
        : new Map([...own].map(([name, ids]) => [name, [...(below.get(name) ?? []), ...ids]]))
    }
    return new Map(names.map((name) => [name, this.idsByEssentialName(name)]))
  }

  /** This BTF or the one below it that has the record. */
  #ownerOf(id: number): Btf {
    if (id === 0 || !this.has(id)) throw noSuchType(id, this.idCount)
    let owner: Btf = this
    while (id < owner.firstId && owner.base !== null) owner = owner.base
    return owner
  }

  #startOf(id: number): number {
    return this.#starts[id - this.firstId] as number
  }

  /** Own records as words of native byte order, for code that reads all of them. Not to be written to. */
  get words(): Uint32Array {
    return this.#words
  }

  /** Word index of each own record in {@link Btf.words}, and the end. Not to be written to. */
  get starts(): Uint32Array {
    return this.#starts
  }
}

/**
 * Parses raw BTF: header, strings' frame and record boundaries are checked now; what records say, by `validateBtf`
 * or when it is asked for. Split BTF needs its `base`. The bytes are kept, not copied: do not change them.
 * Throws BtfError.
 */
export function parseBtf(bytes: Uint8Array, options: { readonly base?: Btf } = {}): Btf {
  return new Btf(bytes, options.base ?? null)
}

/** Names that one pass looks for: each type that begins like some of them is compared with those. */
const MAX_SCANNED = 256

/** Words that a kernel's records have on average, or a bit fewer: what the index is made for at first. */
const TYPICAL_RECORD_WORDS = 6

/** The loop that reading a kernel's BTF consists of: it is kept to a few loads and one store for each record. */
function indexRecords(words: Uint32Array, sizes: RecordSizes, firstId: number, offset: number): Uint32Array {
  const { fixedWords, elementWords } = sizes
  const end = words.length
  let starts = new Uint32Array(Math.ceil(end / TYPICAL_RECORD_WORDS) + 1)
  let capacity = starts.length
  let count = 0
  let at = 0
  while (at < end) {
    if (end - at < RECORD_WORDS) {
      throw malformedType(firstId + count, offset + at * 4, `the type section ends in the middle of a record`)
    }
    const info = words[at + 1] as number
    const kind = (info >>> 24) & 0x7f
    const fixed = fixedWords[kind] as number
    if (fixed === 0) throw unknownKind(firstId + count, offset + at * 4, kind)
    if (count + 1 === capacity) {
      const grown = new Uint32Array(capacity * 2)
      grown.set(starts)
      starts = grown
      capacity = grown.length
    }
    starts[count++] = at
    at += fixed + (info & 0xffffff) * (elementWords[kind] as number)
  }
  if (at !== end) {
    const last = count - 1
    const start = starts[last] as number
    const kind = infoKind(words[start + 1] as number)
    throw malformedType(
      firstId + last,
      offset + start * 4,
      `${kindName(kind)} with vlen ${infoVlen(words[start + 1] as number)} needs ${(at - end) * 4} bytes more than there are`,
    )
  }
  if (count > limits.btf.maxTypes) {
    throw new BtfError('LIMIT', `${count} types, ${limits.btf.maxTypes} are allowed`)
  }
  starts[count] = end
  return starts.subarray(0, count + 1)
}

function unknownKind(id: number, byteOffset: number, kind: number): BtfError {
  if (kind === 0) return malformedType(id, byteOffset, 'kind 0, which no record has')
  return new BtfError(
    'UNSUPPORTED',
    `type id ${id} at byte ${byteOffset}: kind ${kind} is unknown, and no layout section tells its size`,
  )
}

function noSuchType(id: number, idCount: number): BtfError {
  return new BtfError('MALFORMED', `type id ${id}: has no record, expected 1 to ${idCount - 1}`)
}
