import type { Btf } from './btf.ts'
import { Kind } from './wire.ts'

/**
 * What things are called in C. A name that no two types share in C may be shared by many in BTF, or be no C
 * identifier at all (Rust's, hostile ones): whoever prints asks here.
 */
export interface CNames {
  /** Of a struct, union, enum or forward declaration; empty where it is anonymous. */
  tag(id: number): string
  typedef(id: number): string
  /** Of a constant that is about to be printed; may differ each time. */
  enumerator(name: string): string
  /** Of a member that is about to be printed, in the space of the struct that it can be reached through by name. */
  member(name: string, space: NameSpace): string
  /** True where a function or parameter of that name would hide or clash with something printed. */
  isTaken(name: string): boolean
}

/** Names as they are, for text that is read rather than compiled. */
export function plainNames(btf: Btf): CNames {
  return {
    tag: (id) => cIdentifier(btf.name(id)),
    typedef: (id) => cIdentifier(btf.name(id)),
    enumerator: cIdentifier,
    member: cIdentifier,
    isTaken: () => false,
  }
}

/**
 * Names of which none is given twice in a C name space (C17 6.2.3): of several types with one name the one with the
 * lowest id keeps it, the others become `name___2`, `name___3` as bpftool calls them, which CO-RE takes for flavors of
 * the same name. Forward declarations get the name of the type that they declare.
 */
export function uniqueNames(btf: Btf): CNames {
  const tags = new NameSpace()
  const ordinary = new NameSpace()
  const renamed = new Map<number, string>()
  const ownerKinds = new Map<string, string>()
  const forward: number[] = []
  const keep = (id: number, name: string): void => {
    if (name !== btf.name(id)) renamed.set(id, name)
  }
  for (let id = 1; id < btf.idCount; id++) {
    if (btf.nameOffset(id) === 0) continue
    const kind = btf.kind(id)
    if (kind === Kind.TYPEDEF) keep(id, ordinary.claim(btf.name(id)))
    else if (isForward(btf, id)) forward.push(id)
    else if (isTagged(kind)) {
      const name = tags.claim(btf.name(id))
      ownerKinds.set(name, tagKeyword(btf, id))
      keep(id, name)
    }
  }
  for (const id of forward) {
    const [name, keyword] = [cIdentifier(btf.name(id)), tagKeyword(btf, id)]
    const owner = ownerKinds.get(name)
    if (owner === keyword) keep(id, name)
    else {
      // A forward declaration of a struct beside a union of that name declares something that this BTF does not have.
      const alone = `${keyword} ${name}`
      const known = ownerKinds.get(alone) ?? tags.claim(name)
      ownerKinds.set(alone, known)
      keep(id, known)
    }
  }
  const nameOf = (id: number): string => renamed.get(id) ?? btf.name(id)
  return {
    tag: nameOf,
    typedef: nameOf,
    enumerator: (name) => ordinary.claim(name),
    member: (name, space) => (name === '' ? '' : space.claim(name)),
    isTaken: (name) => ordinary.has(name),
  }
}

export function isTagged(kind: number): boolean {
  return kind === Kind.STRUCT || kind === Kind.UNION || kind === Kind.ENUM || kind === Kind.ENUM64
}

/** True for a type that is named here and defined elsewhere, if anywhere: FWD, and an enum without values. */
export function isForward(btf: Btf, id: number): boolean {
  const kind = btf.kind(id)
  return kind === Kind.FWD || ((kind === Kind.ENUM || kind === Kind.ENUM64) && btf.vlen(id) === 0)
}

/** The keyword that goes before a tag. */
export function tagKeyword(btf: Btf, id: number): 'struct' | 'union' | 'enum' {
  const kind = btf.kind(id)
  if (kind === Kind.ENUM || kind === Kind.ENUM64) return 'enum'
  return kind === Kind.UNION || (kind === Kind.FWD && btf.kindFlag(id)) ? 'union' : 'struct'
}

const KEYWORDS: ReadonlySet<string> = new Set(
  (
    'asm auto break case char const continue default do double else enum extern float for goto if inline int long ' +
    'register restrict return short signed sizeof static struct switch typedef typeof union unsigned void volatile while'
  ).split(' '),
)

/** A name as C takes it: other bytes become `_`, and what C reserves gets one behind. Empty stays empty. */
export function cIdentifier(name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return KEYWORDS.has(name) ? `${name}_` : name
  if (name === '') return ''
  return `_${name.replace(/[^A-Za-z0-9_]/g, '_')}`.replace(/^_(?=[A-Za-z_])/, '')
}

/** Names that are given once each. */
export class NameSpace {
  readonly #taken = new Set<string>()
  readonly #next = new Map<string, number>()

  has(name: string): boolean {
    return this.#taken.has(name)
  }

  /** `name` where it is free, else with the next number that is. */
  claim(name: string): string {
    const wanted = cIdentifier(name)
    let given = wanted
    let number = this.#next.get(wanted) ?? 2
    for (; this.#taken.has(given); number++) given = `${wanted}___${number}`
    this.#next.set(wanted, number)
    this.#taken.add(given)
    return given
  }
}
