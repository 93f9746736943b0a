import { limits } from '../core/limits.ts'
import type { Btf } from './btf.ts'
import { isTagged } from './c-names.ts'
import { malformedType } from './errors.ts'
import { Kind } from './wire.ts'

/** Something that stands in a header on its own: a named struct, union or enum, or a typedef. */
export interface Dependencies {
  /** What has to be defined before. */
  readonly definitions: readonly number[]
  /** Structs and unions (FWDs too) whose names have to be declared before. */
  readonly declarations: readonly number[]
}

/** What C wants to know of a type at the place where its name stands. */
type Need = 'definition' | 'declaration'

/**
 * What a unit, or a function's prototype, needs in front of it: by value, everything; behind a pointer or in a
 * prototype, that there is such a struct. Elements of arrays are wanted whole even behind a pointer (C17 6.7.6.2), and
 * typedefs have no forward declaration. Throws BtfError `MALFORMED` for references to nothing.
 */
export function dependenciesOf(btf: Btf, unit: number): Dependencies {
  const definitions = new Set<number>()
  const declarations = new Set<number>()
  const seen = { definition: new Set<number>(), declaration: new Set<number>() }
  const todo: [id: number, need: Need, depth: number][] = []
  const want = (id: number, need: Need, depth: number): void => {
    if (id === 0 || seen[need].has(id)) return
    seen[need].add(id)
    if (depth > limits.btf.maxDepth) {
      throw malformedType(unit, btf.byteOffset(unit), `nested deeper than ${limits.btf.maxDepth}`)
    }
    todo.push([id, need, depth])
  }
  const wantParts = (id: number, depth: number): void => {
    for (let i = 0; i < btf.vlen(id); i++) want(btf.word(id, 4 + i * 3), 'definition', depth)
  }
  const wantSignature = (id: number, depth: number): void => {
    want(btf.sizeOrType(id), 'declaration', depth)
    for (let i = 0; i < btf.vlen(id); i++) want(btf.word(id, 4 + i * 2), 'declaration', depth)
  }
  switch (btf.kind(unit)) {
    case Kind.STRUCT:
    case Kind.UNION:
      wantParts(unit, 0)
      break
    case Kind.TYPEDEF:
      want(btf.sizeOrType(unit), 'declaration', 0)
      break
    case Kind.FUNC_PROTO:
      wantSignature(unit, 0)
  }
  for (const [id, need, depth] of todo) {
    const kind = btf.kind(id)
    switch (kind) {
      case Kind.CONST:
      case Kind.VOLATILE:
      case Kind.RESTRICT:
      case Kind.TYPE_TAG:
        want(btf.sizeOrType(id), need, depth + 1)
        break
      case Kind.PTR:
        want(btf.sizeOrType(id), 'declaration', depth + 1)
        break
      case Kind.ARRAY:
        want(btf.word(id, 3), 'definition', depth + 1)
        break
      case Kind.FUNC_PROTO:
        wantSignature(id, depth + 1)
        break
      case Kind.TYPEDEF:
        definitions.add(id)
        if (need === 'definition') want(btf.sizeOrType(id), need, depth + 1)
        break
      case Kind.FWD:
        declarations.add(id)
        break
      default:
        if (!isTagged(kind)) break
        if (btf.nameOffset(id) === 0) {
          if (kind === Kind.STRUCT || kind === Kind.UNION) wantParts(id, depth + 1)
        } else if (need === 'definition' || kind === Kind.ENUM || kind === Kind.ENUM64) definitions.add(id)
        else declarations.add(id)
    }
  }
  // Its own name is known from its first line on, and a typedef that is meant by value comes with what it stands for.
  declarations.delete(unit)
  return { definitions: [...definitions], declarations: [...declarations] }
}

/**
 * Units in an order in which each finds before it what it needs, each once: those asked for and what they depend on.
 * Throws BtfError `MALFORMED` where no order does, which no compiled program can bring about.
 */
export class DefinitionOrder {
  readonly #btf: Btf
  /** 1 while what it needs is being listed, 2 when listed. */
  readonly #state: Uint8Array

  constructor(btf: Btf) {
    this.#btf = btf
    this.#state = new Uint8Array(btf.idCount)
  }

  *upTo(unit: number): Generator<{ readonly id: number; readonly declarations: readonly number[] }> {
    const [LISTING, LISTED] = [1, 2]
    if (this.#state[unit] === LISTED) return
    const path = [{ id: unit, next: 0, needs: dependenciesOf(this.#btf, unit) }]
    this.#state[unit] = LISTING
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const needed = top.needs.definitions[top.next++]
      if (needed === undefined) {
        path.pop()
        this.#state[top.id] = LISTED
        yield { id: top.id, declarations: top.needs.declarations }
      } else if (this.#state[needed] === LISTING) {
        throw malformedType(needed, this.#btf.byteOffset(needed), 'has to be defined before itself')
      } else if (this.#state[needed] !== LISTED) {
        this.#state[needed] = LISTING
        path.push({ id: needed, next: 0, needs: dependenciesOf(this.#btf, needed) })
      }
    }
  }
}
