import type { Btf } from './btf.ts'
import { malformedType } from './errors.ts'
import { infoKind, infoVlen, Kind, kindName } from './wire.ts'

/**
 * Refuses what no C compiler can have seen: a type that is a part of itself, and a declaration that has no end. Of a
 * chain like `struct a { struct a *next; }` the first kind of edge stops at the pointer and the second at the struct's
 * name. Throws BtfError `MALFORMED` with the id and offset of a type on the cycle.
 */
export function checkCycles(btf: Btf): void {
  checkAcyclic(btf, forEachPart, 'contains itself')
  checkAcyclic(btf, forEachOperand, 'is declared by itself')
}

type ForEach = (words: Uint32Array, start: number, visit: (id: number) => void) => void

/** Depth-first with a stack of its own: hostile types nest deeper than ours. */
function checkAcyclic(btf: Btf, forEach: ForEach, problem: string): void {
  const { words, starts, firstId } = btf
  const count = starts.length - 1
  const [UNSEEN, ON_PATH, DONE] = [0, 1, 2]
  const state = new Uint8Array(count)
  const stack: number[] = []
  const visit = (id: number): void => {
    const index = id - firstId
    // The base of split BTF knows nothing of what is above it, so no cycle leads through it.
    if (index < 0 || state[index] === DONE) return
    if (state[index] === ON_PATH) {
      throw malformedType(id, btf.byteOffset(id), `${kindName(btf.kind(id))} ${problem}`)
    }
    stack.push(index)
  }
  for (let root = 0; root < count; root++) {
    if (state[root] !== UNSEEN) continue
    stack.push(root)
    while (stack.length > 0) {
      const index = stack[stack.length - 1] as number
      if (state[index] === UNSEEN) {
        state[index] = ON_PATH
        forEach(words, starts[index] as number, visit)
      } else {
        stack.pop()
        state[index] = DONE
      }
    }
  }
}

/** What a value of the type is made of. */
function forEachPart(words: Uint32Array, start: number, visit: (id: number) => void): void {
  const info = words[start + 1] as number
  switch (infoKind(info)) {
    case Kind.TYPEDEF:
    case Kind.VOLATILE:
    case Kind.CONST:
    case Kind.RESTRICT:
    case Kind.TYPE_TAG:
      return visit(words[start + 2] as number)
    case Kind.ARRAY:
      return visit(words[start + 3] as number)
    case Kind.STRUCT:
    case Kind.UNION:
      for (let i = 0; i < infoVlen(info); i++) visit(words[start + 4 + i * 3] as number)
  }
}

/** What has to be written to declare something of the type; that of a struct is its name. */
function forEachOperand(words: Uint32Array, start: number, visit: (id: number) => void): void {
  const info = words[start + 1] as number
  switch (infoKind(info)) {
    case Kind.PTR:
    case Kind.TYPEDEF:
    case Kind.VOLATILE:
    case Kind.CONST:
    case Kind.RESTRICT:
    case Kind.TYPE_TAG:
      return visit(words[start + 2] as number)
    case Kind.ARRAY:
      return visit(words[start + 3] as number)
    case Kind.FUNC_PROTO:
      visit(words[start + 2] as number)
      for (let i = 0; i < infoVlen(info); i++) visit(words[start + 4 + i * 2] as number)
  }
}
