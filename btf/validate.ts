import type { Btf } from './btf.ts'
import { checkCycles } from './cycles.ts'
import { type BtfError, malformedType } from './errors.ts'
import { memberSpot, sizeOf } from './layout.ts'
import type { BtfType } from './types.ts'
import { infoKind, infoKindFlag, infoVlen, Kind, kindName } from './wire.ts'

/** What a record's checker sees: the words, where it starts, and how to complain. */
interface RecordView {
  readonly btf: Btf
  readonly id: number
  readonly words: Uint32Array
  readonly start: number
  readonly vlen: number
  readonly kindFlag: boolean
  readonly sizeOrType: number
  readonly nameOffset: number
}

/**
 * Checks a whole BTF: every name, reference, size, member offset and value range, and that no chain of modifiers
 * and no struct contains itself. The rules are those of the kernel's verifier (kernel/bpf/btf.c, btf_check_all_metas
 * and the resolve functions), less what real kernels break: names need not be C identifiers, only free of control
 * characters. Returns when all is well; throws BtfError `MALFORMED` with type id and byte offset at the first thing
 * that is not. It is for kernels: objects that compilers write may have what loaders mend (empty sections, void
 * symbols).
 */
export function validateBtf(btf: Btf): void {
  const { words, starts } = btf
  if (!btf.strings.hasOnlyNames()) checkNames(btf)
  for (let index = 0; index < starts.length - 1; index++) {
    const start = starts[index] as number
    const info = words[start + 1] as number
    const view: RecordView = {
      btf,
      id: btf.firstId + index,
      words,
      start,
      vlen: infoVlen(info),
      kindFlag: infoKindFlag(info),
      sizeOrType: words[start + 2] as number,
      nameOffset: words[start] as number,
    }
    checkName(view, view.nameOffset)
    checkUnused(view, infoKind(info))
    CHECKS[infoKind(info)]?.(view)
  }
  checkCycles(btf)
}

const CHECKS: Readonly<Record<number, (view: RecordView) => void>> = {
  [Kind.INT]: (v) => {
    const data = v.words[v.start + 3] as number
    if ((data & ~0x0fff00ff) !== 0) throw fail(v, `has unknown bits in 0x${data.toString(16)}`)
    const bits = data & 0xff
    const offset = (data >>> 16) & 0xff
    // No name is needed: the first BTFs that pahole made have nameless ints, and the kernel takes them.
    if (v.sizeOrType < 1 || v.sizeOrType > 16) throw fail(v, `int of ${v.sizeOrType} bytes, expected 1 to 16`)
    if (bits === 0 || bits + offset > v.sizeOrType * 8) {
      throw fail(v, `int of ${bits} bits at bit ${offset} in ${v.sizeOrType} bytes`)
    }
  },
  [Kind.PTR]: (v) => checkRef(v, v.sizeOrType, 'points to'),
  [Kind.TYPEDEF]: (v) => {
    needName(v)
    checkRef(v, v.sizeOrType, 'is of')
  },
  [Kind.VOLATILE]: (v) => checkRef(v, v.sizeOrType, 'is of'),
  [Kind.CONST]: (v) => checkRef(v, v.sizeOrType, 'is of'),
  [Kind.RESTRICT]: (v) => checkRef(v, v.sizeOrType, 'is of'),
  [Kind.TYPE_TAG]: (v) => {
    needName(v)
    checkRef(v, v.sizeOrType, 'is of')
  },
  [Kind.ARRAY]: (v) => {
    checkRef(v, v.words[v.start + 3] as number, 'has elements of', ANY_VALUE)
    checkRef(v, v.words[v.start + 4] as number, 'is indexed by', ANY_VALUE)
  },
  [Kind.STRUCT]: checkMembers,
  [Kind.UNION]: checkMembers,
  [Kind.ENUM]: checkEnum,
  [Kind.ENUM64]: checkEnum,
  [Kind.FWD]: needName,
  [Kind.FUNC]: (v) => {
    needName(v)
    if (v.vlen > 2) throw fail(v, `linkage ${v.vlen}, expected 0 to 2`)
    checkRef(v, v.sizeOrType, 'is of', ONLY_PROTO)
  },
  [Kind.FUNC_PROTO]: (v) => {
    checkRef(v, v.sizeOrType, 'returns')
    for (let i = 0; i < v.vlen; i++) {
      const at = v.start + 3 + i * 2
      checkName(v, v.words[at] as number)
      const type = v.words[at + 1] as number
      checkRef(v, type, `parameter ${i} is of`)
      if (type === 0 && i !== v.vlen - 1) throw fail(v, `parameter ${i} of ${v.vlen} is void`)
    }
  },
  [Kind.VAR]: (v) => {
    needName(v)
    checkRef(v, v.sizeOrType, 'is of', ANY_VALUE)
    const linkage = v.words[v.start + 3] as number
    if (linkage > 2) throw fail(v, `linkage ${linkage}, expected 0 to 2`)
  },
  [Kind.DATASEC]: (v) => {
    needName(v)
    for (let i = 0; i < v.vlen; i++)
      checkRef(v, v.words[v.start + 3 + i * 3] as number, `variable ${i} is`, ONLY_VAR)
  },
  [Kind.FLOAT]: (v) => {
    if (![2, 4, 8, 12, 16].includes(v.sizeOrType)) throw fail(v, `float of ${v.sizeOrType} bytes`)
  },
  [Kind.DECL_TAG]: (v) => {
    needName(v)
    const component = (v.words[v.start + 3] as number) | 0
    if (component < -1) throw fail(v, `component index ${component}`)
    checkRef(v, v.sizeOrType, 'is about', TAGGABLE)
    if (component >= 0 && component >= taggedCount(v.btf, v.sizeOrType)) {
      throw fail(v, `component index ${component}: type ${v.sizeOrType} has no such member or parameter`)
    }
  },
}

/** BTF does not say what a pointer takes; no machine that has BTF takes less. */
const LEAST_POINTER_BYTES = 4

type Allowed = (kind: number) => boolean
const ANY_TYPE: Allowed = (kind) =>
  kind !== Kind.FUNC && kind !== Kind.VAR && kind !== Kind.DATASEC && kind !== Kind.DECL_TAG
const ANY_VALUE: Allowed = (kind) => kind !== 0 && kind !== Kind.FUNC_PROTO && ANY_TYPE(kind)
const ONLY_PROTO: Allowed = (kind) => kind === Kind.FUNC_PROTO
const ONLY_VAR: Allowed = (kind) => kind === Kind.VAR || kind === Kind.FUNC
const TAGGABLE: Allowed = (kind) =>
  kind === Kind.STRUCT ||
  kind === Kind.UNION ||
  kind === Kind.FUNC ||
  kind === Kind.VAR ||
  kind === Kind.TYPEDEF

const KINDS_WITH_VLEN = kindSet(
  Kind.STRUCT,
  Kind.UNION,
  Kind.ENUM,
  Kind.ENUM64,
  Kind.FUNC,
  Kind.FUNC_PROTO,
  Kind.DATASEC,
)
const KINDS_WITH_FLAG = kindSet(
  Kind.STRUCT,
  Kind.UNION,
  Kind.ENUM,
  Kind.ENUM64,
  Kind.FWD,
  Kind.DECL_TAG,
  Kind.TYPE_TAG,
)
const KINDS_WITHOUT_NAME = kindSet(
  Kind.PTR,
  Kind.ARRAY,
  Kind.VOLATILE,
  Kind.CONST,
  Kind.RESTRICT,
  Kind.FUNC_PROTO,
)
const KINDS_WITHOUT_SIZE_OR_TYPE = kindSet(Kind.ARRAY, Kind.FWD)

function kindSet(...kinds: readonly number[]): ReadonlySet<number> {
  return new Set(kinds)
}

/** Fields that mean nothing for a kind are zero: what `Btf.type` tells is then all that the record says. */
function checkUnused(v: RecordView, kind: number): void {
  if (kind > Kind.ENUM64) return
  if (v.vlen !== 0 && !KINDS_WITH_VLEN.has(kind)) throw fail(v, `has vlen ${v.vlen}, expected 0`)
  if (v.kindFlag && !KINDS_WITH_FLAG.has(kind)) throw fail(v, 'has kind_flag, which means nothing there')
  if (v.nameOffset !== 0 && KINDS_WITHOUT_NAME.has(kind)) throw fail(v, 'has a name, expected none')
  if (v.sizeOrType !== 0 && KINDS_WITHOUT_SIZE_OR_TYPE.has(kind)) {
    throw fail(v, `has ${v.sizeOrType} as size or type, expected 0`)
  }
}

function checkMembers(v: RecordView): void {
  const isUnion = infoKind(v.words[v.start + 1] as number) === Kind.UNION
  for (let i = 0; i < v.vlen; i++) {
    const at = v.start + 3 + i * 3
    const type = v.words[at + 1] as number
    checkName(v, v.words[at] as number)
    checkRef(v, type, `member ${i} is of`, ANY_VALUE)
    const { offsetBits, bitfieldBits: bits } = memberSpot(v.btf, v.id, i)
    if (isUnion && offsetBits !== 0) throw fail(v, `member ${i} is at bit ${offsetBits}, expected 0`)
    const typeBytes = sizeOf(v.btf, type, LEAST_POINTER_BYTES)
    if (typeBytes === null) throw fail(v, `member ${i} has no size`)
    if (bits > typeBytes * 8) throw fail(v, `member ${i} has ${bits} bits, its type ${typeBytes * 8}`)
    const end = offsetBits + (bits === 0 ? typeBytes * 8 : bits)
    if (end > v.sizeOrType * 8) {
      throw fail(v, `member ${i} ends at bit ${end}, the type at bit ${v.sizeOrType * 8}`)
    }
  }
}

function checkEnum(v: RecordView): void {
  if (![1, 2, 4, 8].includes(v.sizeOrType))
    throw fail(v, `enum of ${v.sizeOrType} bytes, expected 1, 2, 4 or 8`)
  const step = infoKind(v.words[v.start + 1] as number) === Kind.ENUM64 ? 3 : 2
  for (let i = 0; i < v.vlen; i++) {
    const nameOffset = v.words[v.start + 3 + i * step] as number
    if (nameOffset === 0) throw fail(v, `value ${i} has no name`)
    checkName(v, nameOffset)
  }
}

function checkRef(v: RecordView, id: number, role: string, allowed: Allowed = ANY_TYPE): void {
  if (id >= v.btf.idCount) throw fail(v, `${role} type ${id}, the last is ${v.btf.idCount - 1}`)
  const kind = v.btf.kind(id)
  if (!allowed(kind)) throw fail(v, `${role} type ${id}, which is a ${kindName(kind)}`)
}

/** For a string section that has more than names, such as the source lines of BPF objects: names are none of those. */
function checkNames(btf: Btf): void {
  for (let id = btf.firstId; id < btf.idCount; id++) {
    const type = btf.type(id)
    for (const name of [type.name, ...partNames(type)]) {
      if (!/[\x00-\x1f\x7f]/.test(name)) continue
      throw malformedType(id, btf.byteOffset(id), `name ${JSON.stringify(name)} has control characters`)
    }
  }
}

function partNames(type: BtfType): string[] {
  switch (type.kind) {
    case 'struct':
    case 'union':
      return type.members.map((member) => member.name)
    case 'enum':
    case 'enum64':
      return type.values.map((value) => value.name)
    case 'func_proto':
      return type.params.map((param) => param.name)
    default:
      return []
  }
}

function checkName(v: RecordView, offset: number): void {
  if (offset >= v.btf.strings.end) throw fail(v, `name at ${offset}, the strings end at ${v.btf.strings.end}`)
}

function needName(v: RecordView): void {
  if (v.nameOffset === 0) throw fail(v, 'has no name')
}

function taggedCount(btf: Btf, id: number): number {
  const kind = btf.kind(id)
  if (kind === Kind.STRUCT || kind === Kind.UNION) return btf.vlen(id)
  if (kind !== Kind.FUNC) return 0
  const proto = btf.sizeOrType(id)
  return btf.kind(proto) === Kind.FUNC_PROTO ? btf.vlen(proto) : 0
}

function fail(v: RecordView, problem: string): BtfError {
  return malformedType(v.id, v.btf.byteOffset(v.id), `${kindName(v.btf.kind(v.id))} ${problem}`)
}
