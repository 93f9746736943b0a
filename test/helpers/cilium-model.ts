/**
 * What cilium/ebpf compares when it relocates (btf/core.go of v0.21), in a few lines and independent of the minimizer:
 * candidates of every kind, members searched in breadth, pointers followed, anonymous names equal to all.
 */
import { type Btf, type BtfType, sizeOf, skipModifiersAndTypedefs } from '../../btf/index.ts'
import { type Relocation, ReloKind } from '../../minimize/index.ts'

/** Ids of the types that it takes for candidates of a local type. */
export function ciliumCandidates(local: Btf, typeId: number, target: Btf): number[] {
  const wanted = ciliumEssential(local.name(typeId))
  const ids: number[] = []
  for (let id = 1; id < target.idCount; id++) {
    const { kind, name } = target.type(id)
    if (kind !== 'type_tag' && name !== '' && ciliumEssential(name) === wanted) ids.push(id)
  }
  return ids
}

/** What a relocation comes to on one candidate; null where it is poisoned, or the whole load refused. */
export function ciliumFixup(local: Btf, relo: Relocation, target: Btf, candidate: number): string | null {
  switch (relo.kind) {
    case ReloKind.TYPE_ID_LOCAL:
      return null
    case ReloKind.TYPE_MATCHES:
      return matches(local, relo.typeId, target, candidate, new Set()) ? 'matches' : null
    case ReloKind.TYPE_EXISTS:
    case ReloKind.TYPE_ID_TARGET:
    case ReloKind.TYPE_SIZE: {
      if (!compatible(local, relo.typeId, target, candidate, new Set())) return null
      if (relo.kind !== ReloKind.TYPE_SIZE) return 'compatible'
      const sizes = [sizeOf(local, relo.typeId), sizeOf(target, candidate)]
      return sizes.includes(null) ? null : `size ${sizes[1]}`
    }
    case ReloKind.ENUMVAL_EXISTS:
    case ReloKind.ENUMVAL_VALUE:
      return enumerator(local, relo, target, candidate)
    default:
      return field(local, relo, target, candidate)
  }
}

function ciliumEssential(name: string): string {
  const at = name.lastIndexOf('___')
  return at > 0 ? name.slice(0, at) : name
}

function underlying(btf: Btf, id: number): BtfType {
  return btf.type(skipModifiersAndTypedefs(btf, id))
}

/** Go's type of a type: both enums are one. */
function goType(type: BtfType): string {
  return type.kind === 'enum64' ? 'enum' : type.kind
}

function namesMatch(a: string, b: string): boolean {
  return a === '' || b === '' || ciliumEssential(a) === ciliumEssential(b)
}

function compatible(local: Btf, l: number, target: Btf, t: number, seen: Set<string>): boolean {
  const [a, b] = [underlying(local, l), underlying(target, t)]
  if (goType(a) !== goType(b)) return false
  const key = `${a.id}/${b.id}`
  if (seen.has(key)) return true
  seen.add(key)
  const same = (x: number, y: number): boolean => compatible(local, x, target, y, seen)
  if (a.kind === 'ptr' && b.kind === 'ptr') return same(a.typeId, b.typeId)
  if (a.kind === 'array' && b.kind === 'array')
    return same(a.indexTypeId, b.indexTypeId) && same(a.typeId, b.typeId)
  if (a.kind === 'func_proto' && b.kind === 'func_proto') {
    return (
      same(a.typeId, b.typeId) &&
      a.params.length === b.params.length &&
      a.params.every((param, i) => same(param.typeId, b.params[i]?.typeId ?? 0))
    )
  }
  return a.kind !== 'float'
}

function matches(local: Btf, l: number, target: Btf, t: number, seen: Set<string>): boolean {
  const [a, b] = [underlying(local, l), underlying(target, t)]
  if (!namesMatch(a.name, b.name) || goType(a) !== goType(b)) return false
  const key = `${a.id}/${b.id}`
  if (seen.has(key)) return true
  seen.add(key)
  const same = (x: number, y: number): boolean => matches(local, x, target, y, seen)
  if (a.kind === 'fwd' && b.kind === 'fwd') return a.isUnion === b.isUnion
  if ((a.kind === 'enum' || a.kind === 'enum64') && (b.kind === 'enum' || b.kind === 'enum64')) {
    return (
      a.sizeBytes === b.sizeBytes &&
      a.values.length <= b.values.length &&
      a.values.every((x) => b.values.some((y) => namesMatch(x.name, y.name)))
    )
  }
  if ((a.kind === 'struct' || a.kind === 'union') && (b.kind === 'struct' || b.kind === 'union')) {
    if (a.members.length > b.members.length) return false
    const byName = new Map(b.members.map((member) => [member.name, member]))
    return a.members.every((member) => {
      const other = byName.get(member.name)
      return other !== undefined && same(member.typeId, other.typeId)
    })
  }
  if (a.kind === 'int' && b.kind === 'int') {
    return a.sizeBytes === b.sizeBytes && (a.encoding === 1) === (b.encoding === 1)
  }
  if (a.kind === 'ptr' && b.kind === 'ptr') {
    const [x, y] = [underlying(local, a.typeId), underlying(target, b.typeId)]
    if (x.kind === 'fwd' && declares(x, y)) return true
    if (y.kind === 'fwd' && declares(y, x)) return true
    return same(a.typeId, b.typeId)
  }
  if (a.kind === 'array' && b.kind === 'array') return a.length === b.length && same(a.typeId, b.typeId)
  if (a.kind === 'func_proto' && b.kind === 'func_proto') {
    return (
      a.params.length === b.params.length &&
      a.params.every((param, i) => same(param.typeId, b.params[i]?.typeId ?? 0)) &&
      same(a.typeId, b.typeId)
    )
  }
  return a.kind === 'void'
}

function declares(fwd: BtfType & { kind: 'fwd' }, type: BtfType): boolean {
  return namesMatch(fwd.name, type.name) && type.kind === (fwd.isUnion ? 'union' : 'struct')
}

function enumerator(local: Btf, relo: Relocation, target: Btf, candidate: number): string | null {
  const [a, b] = [underlying(local, relo.typeId), underlying(target, candidate)]
  if (a.kind !== 'enum' && a.kind !== 'enum64') return null
  if (b.kind !== 'enum' && b.kind !== 'enum64') return null
  const wanted = a.values[Number(relo.access)]
  if (wanted === undefined) return null
  const found = b.values.find((value) => ciliumEssential(value.name) === ciliumEssential(wanted.name))
  return found === undefined ? null : `${found.name} ${found.value}`
}

function membersCompatible(local: Btf, l: number, target: Btf, t: number): boolean {
  const [a, b] = [underlying(local, l), underlying(target, t)]
  const isComposite = (type: BtfType): boolean => type.kind === 'struct' || type.kind === 'union'
  if (isComposite(a) && isComposite(b)) return true
  if (goType(a) !== goType(b)) return false
  if (a.kind === 'enum' || a.kind === 'enum64' || a.kind === 'fwd') return namesMatch(a.name, b.name)
  return a.kind === 'array' || a.kind === 'ptr' || a.kind === 'float' || a.kind === 'int'
}

/** Where the field is on this candidate, and what it is; null where it is not. */
function field(local: Btf, relo: Relocation, target: Btf, candidate: number): string | null {
  const [first = 0, ...rest] = relo.access.split(':').map(Number)
  let [l, t] = [relo.typeId, candidate]
  if (underlying(target, t).kind === 'fwd' || !membersCompatible(local, l, target, t)) return null
  let offsetBits = first * (sizeOf(target, t) ?? 0) * 8
  let bitfieldBits = 0
  let [isLocalLast, isLast] = [false, false]
  for (const index of rest) {
    const [a, b] = [underlying(local, l), underlying(target, t)]
    if (a.kind === 'struct' || a.kind === 'union') {
      const wanted = a.members[index]
      if (wanted === undefined) return null
      if (wanted.name === '') {
        l = wanted.typeId
        isLocalLast = false
        continue
      }
      const found = findInBreadth(target, b, wanted.name)
      if (found === null) return null
      offsetBits += found.offsetBits
      bitfieldBits = found.bitfieldBits
      isLocalLast = index === a.members.length - 1
      isLast = found.isLast
      ;[l, t] = [wanted.typeId, found.typeId]
    } else if (a.kind === 'array' && b.kind === 'array') {
      if (a.length === 0 ? !isLocalLast : index >= a.length) return null
      if (b.length === 0 ? !isLast : index >= b.length) return null
      offsetBits += index * (sizeOf(target, b.typeId) ?? 0) * 8
      isLocalLast = isLast = false
      ;[l, t] = [a.typeId, b.typeId]
    } else {
      return null
    }
    if (!membersCompatible(local, l, target, t)) return null
  }
  const leaf = underlying(target, t)
  const signed =
    leaf.kind === 'int'
      ? leaf.encoding & 1
      : leaf.kind === 'enum' || leaf.kind === 'enum64'
        ? leaf.isSigned
        : ''
  return `bit ${offsetBits}, ${sizeOf(target, t)} bytes, bitfield ${bitfieldBits}, signed ${signed}`
}

interface Found {
  readonly typeId: number
  readonly offsetBits: number
  readonly bitfieldBits: number
  readonly isLast: boolean
}

function findInBreadth(target: Btf, type: BtfType, name: string): Found | null {
  const pending: { type: BtfType; offsetBits: number }[] = [{ type, offsetBits: 0 }]
  for (const { type: each, offsetBits } of pending) {
    if (each.kind !== 'struct' && each.kind !== 'union') return null
    for (const [i, member] of each.members.entries()) {
      if (member.name === name) {
        return {
          typeId: member.typeId,
          offsetBits: offsetBits + member.offsetBits,
          bitfieldBits: member.bitfieldBits,
          isLast: i === each.members.length - 1,
        }
      }
      if (member.name === '') {
        pending.push({ type: underlying(target, member.typeId), offsetBits: offsetBits + member.offsetBits })
      }
    }
  }
  return null
}
