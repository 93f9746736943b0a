import type { Btf } from './btf.ts'
import { BtfError, malformedType } from './errors.ts'
import { infoKind, infoVlen, Kind, kindName, RECORD_WORDS } from './wire.ts'

/** Kinds whose third word is a type. */
const REFERENCES: ReadonlySet<number> = new Set([
  Kind.PTR,
  Kind.TYPEDEF,
  Kind.VOLATILE,
  Kind.CONST,
  Kind.RESTRICT,
  Kind.FUNC,
  Kind.FUNC_PROTO,
  Kind.VAR,
  Kind.DECL_TAG,
  Kind.TYPE_TAG,
])

/** A kind's elements: how many words each has, and which of them is a name or a type; -1 for none. */
interface Elements {
  readonly step: number
  readonly name: number
  readonly type: number
}
const ELEMENTS: Readonly<Record<number, Elements>> = {
  [Kind.STRUCT]: { step: 3, name: 0, type: 1 },
  [Kind.UNION]: { step: 3, name: 0, type: 1 },
  [Kind.ENUM]: { step: 2, name: 0, type: -1 },
  [Kind.ENUM64]: { step: 3, name: 0, type: -1 },
  [Kind.FUNC_PROTO]: { step: 2, name: 0, type: 1 },
  [Kind.DATASEC]: { step: 3, name: -1, type: 0 },
}

/** The records of a BTF as words that may be changed, and where in them names and types are referred to. */
export class MutableRecords {
  readonly words: Uint32Array
  /** Word index of each record; of id 0, which has none, that of id 1. One more entry marks the end. */
  readonly starts: Uint32Array
  readonly idCount: number

  /** Throws BtfError `UNSUPPORTED` for kinds that are not known here: what they refer to nobody can tell. */
  constructor(btf: Btf) {
    this.words = btf.words.slice()
    this.starts = new Uint32Array(btf.starts.length + 1)
    this.starts.set(btf.starts, 1)
    this.idCount = btf.starts.length
    for (let id = 1; id < this.idCount; id++) {
      if (this.kind(id) > Kind.ENUM64) {
        throw new BtfError(
          'UNSUPPORTED',
          `type id ${btf.firstId + id - 1}: ${kindName(this.kind(id))} is unknown`,
        )
      }
    }
  }

  kind(id: number): number {
    return id === 0 ? 0 : infoKind(this.info(id))
  }

  vlen(id: number): number {
    return id === 0 ? 0 : infoVlen(this.info(id))
  }

  name(id: number): number {
    return id === 0 ? 0 : (this.words[this.starts[id]!] as number)
  }

  info(id: number): number {
    return this.words[this.starts[id]! + 1] as number
  }

  /** Size or type. */
  third(id: number): number {
    return this.words[this.starts[id]! + 2] as number
  }

  /** Index of the first word behind the record's three. */
  trailing(id: number): number {
    return this.starts[id]! + RECORD_WORDS
  }

  end(id: number): number {
    return this.starts[id + 1] as number
  }

  /** Replaces every name of a record. */
  mapNames(id: number, map: (name: number) => number): void {
    this.words[this.starts[id]!] = map(this.name(id))
    const elements = ELEMENTS[this.kind(id)]
    if (elements === undefined || elements.name < 0) return
    for (let at = this.trailing(id) + elements.name; at < this.end(id); at += elements.step) {
      this.words[at] = map(this.words[at] as number)
    }
  }

  /** Replaces every type that a record refers to; `at` is the index of the word that does. */
  mapTypes(id: number, map: (type: number, at: number) => number): void {
    const replace = (at: number): void => {
      this.words[at] = map(this.words[at] as number, at)
    }
    const kind = this.kind(id)
    if (REFERENCES.has(kind)) replace(this.starts[id]! + 2)
    if (kind === Kind.ARRAY) {
      replace(this.trailing(id))
      replace(this.trailing(id) + 1)
    }
    const elements = ELEMENTS[kind]
    if (elements === undefined || elements.type < 0) return
    for (let at = this.trailing(id) + elements.type; at < this.end(id); at += elements.step) replace(at)
  }

  /** Throws BtfError `MALFORMED` where a record refers to a type that is not there. */
  checkTypes(): void {
    for (let id = 1; id < this.idCount; id++) {
      this.mapTypes(id, (type) => {
        if (type < this.idCount) return type
        throw malformedType(
          id,
          this.starts[id]! * 4,
          `refers to type ${type}, the last is ${this.idCount - 1}`,
        )
      })
    }
  }
}
