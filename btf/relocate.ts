import type { Btf } from './btf.ts'
import { MutableRecords } from './dedup-records.ts'
import { frameBtf } from './encode.ts'
import { BtfError, malformedType } from './errors.ts'
import { StringBuilder } from './string-builder.ts'
import { Kind, kindName } from './wire.ts'

/**
 * Split BTF on a distilled base (an ELF's `.BTF.base`, pahole's feature `distilled_base`) as split BTF on the kernel's
 * own, `base`. A distilled base has only the named types that the module refers to, without their members; each is found
 * in `base` by the rules of btf__relocate (btf_relocate.c): name and kind, the size of what has no members anyway
 * and of structs that the module embeds, a forward declaration also as the struct that it declares. The strings are
 * the module's own, in the order of their use.
 * Throws BtfError `NEEDS_BASE` where `split` has no base or `base` does not have what it refers to, `MALFORMED` where
 * `base` has it several times; `UNSUPPORTED` for kinds that only a layout section describes.
 */
export function relocateSplit(split: Btf, base: Btf): Uint8Array {
  const distilled = split.base
  if (distilled === null)
    throw new BtfError('NEEDS_BASE', 'BTF that is not split has no base to be relocated')
  const embedded = embeddedIds(split)
  const found = Array.from({ length: distilled.idCount }, (_, id) =>
    id === 0 ? 0 : findInBase(distilled, id, embedded.has(id), base),
  )
  const strings = new StringBuilder()
  const records = new MutableRecords(split)
  for (let own = 1; own < records.idCount; own++) {
    const id = split.firstId + own - 1
    records.mapNames(own, (offset) => {
      const name = split.nameAt(id, offset)
      return name === '' ? 0 : base.strings.end + strings.add(name)
    })
    records.mapTypes(own, (type) => {
      if (!split.has(type))
        throw malformedType(
          id,
          split.byteOffset(id),
          `refers to type ${type}, the last is ${split.idCount - 1}`,
        )
      return type < split.firstId ? (found[type] as number) : type - split.firstId + base.idCount
    })
  }
  return frameBtf(records.words, strings.finish(), base.endian)
}

/** Ids of the base's types that a struct of the module contains, through arrays and modifiers of its own. */
function embeddedIds(split: Btf): ReadonlySet<number> {
  const found = new Set<number>()
  const seen = new Set<number>()
  const follow = (start: number): void => {
    for (let id = start; id !== 0;) {
      if (id < split.firstId) return void found.add(id)
      if (seen.has(id)) return
      seen.add(id)
      switch (split.kind(id)) {
        case Kind.TYPEDEF:
        case Kind.VOLATILE:
        case Kind.CONST:
        case Kind.RESTRICT:
        case Kind.TYPE_TAG:
          id = split.sizeOrType(id)
          break
        case Kind.ARRAY:
          id = split.word(id, 3)
          break
        default:
          return
      }
    }
  }
  for (let id = split.firstId; id < split.idCount; id++) {
    const kind = split.kind(id)
    if (kind !== Kind.STRUCT && kind !== Kind.UNION) continue
    for (let i = 0; i < split.vlen(id); i++) follow(split.word(id, 4 + i * 3))
  }
  return found
}

function findInBase(distilled: Btf, id: number, isEmbedded: boolean, base: Btf): number {
  const name = distilled.name(id)
  const matches = base.idsByName(name).filter((other) => fits(distilled, id, isEmbedded, base, other))
  const [match] = matches
  if (match !== undefined && matches.length === 1) return match
  const what = `${kindName(distilled.kind(id))} ${name}, ${distilled.sizeOrType(id)} bytes`
  if (match === undefined) {
    throw new BtfError('NEEDS_BASE', `the base has no ${what}: the module is of another kernel`)
  }
  throw malformedType(
    id,
    distilled.byteOffset(id),
    `${what}: types ${matches.join(', ')} of the base all fit`,
  )
}

function fits(distilled: Btf, id: number, isEmbedded: boolean, base: Btf, other: number): boolean {
  const [kind, otherKind] = [distilled.kind(id), base.kind(other)]
  const isSameSize = distilled.sizeOrType(id) === base.sizeOrType(other)
  switch (kind) {
    case Kind.FWD: {
      const isUnion = distilled.kindFlag(id)
      if (otherKind === Kind.FWD) return isUnion === base.kindFlag(other)
      return otherKind === (isUnion ? Kind.UNION : Kind.STRUCT)
    }
    case Kind.INT:
      return otherKind === kind && isSameSize && distilled.word(id, 3) === base.word(other, 3)
    case Kind.FLOAT:
      return otherKind === kind && isSameSize
    // Distilled bases have both kinds of enum as ENUM.
    case Kind.ENUM:
    case Kind.ENUM64:
      return (otherKind === Kind.ENUM || otherKind === Kind.ENUM64) && isSameSize
    case Kind.STRUCT:
    case Kind.UNION:
      return otherKind === kind && (isSameSize || !isEmbedded)
    default:
      return false
  }
}
