import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  type Btf,
  type BtfMember,
  type BtfType,
  encodeBtf,
  parseBtf,
  sizeOf,
  skipModifiersAndTypedefs,
  validateBtf,
} from '../btf/index.ts'
import { t } from '../test/helpers/btf-bytes.ts'
import { ciliumCandidates, ciliumFixup } from '../test/helpers/cilium-model.ts'
import { namesIn } from '../test/helpers/core-case.ts'
import { btfOf, type HandRelo, objectOf } from '../test/helpers/hand-object.ts'
import type { BpfObject } from './index.ts'
import { minimize, parseBpfObject, ReloKind } from './index.ts'

/*
 * Types and relocations by chance, with so few names that much is found twice. `minimize` compares all relocations on
 * the full and the min BTF by itself and throws where one differs; what follows is what it cannot see.
 */

/** One number for each choice that is made on the way. */
const choices = (length: number): fc.Arbitrary<number[]> =>
  fc.array(fc.nat(1 << 20), { minLength: length, maxLength: length })

class Chooser {
  readonly #numbers: readonly number[]
  #at = 0

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers
  }

  below(count: number): number {
    const number = this.#numbers[this.#at++ % this.#numbers.length] ?? 0
    return (number + this.#at) % count
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }
}

const NAMES = ['s', 't', 's___x', 's___x___y', ''] as const
const VALUE_KINDS = new Set(['int', 'ptr', 'struct', 'union', 'array', 'enum', 'enum64', 'float'])

/** Valid types: by value each has only what stands before it, pointers lead anywhere. */
function chooseTypes(choose: Chooser, count: number): BtfType[] {
  const types: BtfType[] = [t.int('int'), t.int('u8', 1, 0), t.int('long int', 8), t.ptr(0)]
  const values = (): number[] =>
    types.flatMap((_, i) => (VALUE_KINDS.has(underlyingKind(types, i + 1)) ? [i + 1] : []))
  for (let i = 0; i < count; i++) types.push(chooseType(choose, types, values(), count + 4))
  return types.map((type, i) =>
    type.kind === 'ptr' && type.typeId > i ? boundedPointer(type.typeId, types) : type,
  )
}

/** A pointer that leads on must end at something with a name: no declaration goes on for ever. */
function boundedPointer(typeId: number, types: readonly BtfType[]): BtfType {
  const kind = types[typeId - 1]?.kind
  return t.ptr(kind === 'struct' || kind === 'union' ? typeId : 0)
}

function underlyingKind(types: readonly BtfType[], id: number): string {
  const type = types[id - 1]
  if (type === undefined) return 'void'
  return type.kind === 'typedef' || type.kind === 'const' || type.kind === 'type_tag'
    ? underlyingKind(types, type.typeId)
    : type.kind
}

function chooseType(
  choose: Chooser,
  types: readonly BtfType[],
  values: readonly number[],
  last: number,
): BtfType {
  switch (choose.below(14)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return chooseComposite(choose, types, values, 'struct')
    case 4:
      return chooseComposite(choose, types, values, 'union')
    case 5:
      return t.enum(choose.of(['e', 'e___x', '']), chooseEnumerators(choose), choose.of([4, 4, 8]))
    case 6:
      return t.fwd(choose.of(['s', 't']), choose.below(2) === 1)
    case 7:
      return t.typedef(choose.of(['s', 't', 'n']), choose.of(values))
    case 8:
      return t.ref('const', choose.of(values))
    case 9:
      return t.array(choose.of(values), choose.below(4))
    case 10:
      return t.proto(
        choose.of(values),
        Array.from({ length: choose.below(3) }, () => ({ name: 'p', typeId: choose.of(values) })),
      )
    case 11:
      return t.float('double', 8)
    case 12:
      return t.tag('rcu', choose.of(values))
    default:
      return t.ptr(choose.below(last + 1))
  }
}

function chooseEnumerators(choose: Chooser): { name: string; value: bigint }[] {
  return ['A', 'B', 'A___x', 'C']
    .filter(() => choose.below(2) === 0)
    .map((name, i) => ({ name, value: BigInt(i + choose.below(3)) }))
}

function chooseComposite(
  choose: Chooser,
  types: readonly BtfType[],
  values: readonly number[],
  kind: 'struct' | 'union',
): BtfType {
  const names = ['a', 'b', 'c', 'd'].filter(() => choose.below(3) > 0)
  const btf = btfOf(types)
  const composites = values.filter((id) => {
    const type = btf.type(skipModifiersAndTypedefs(btf, id))
    // Members of anonymous ones must not repeat: only those without named members of their own are taken.
    return (type.kind === 'struct' || type.kind === 'union') && type.members.every((m) => m.name === 'z')
  })
  const members: BtfMember[] = []
  let end = 0
  const add = (name: string, typeId: number): void => {
    members.push(t.member(name, typeId, kind === 'struct' ? end : 0))
    end = (kind === 'struct' ? end : 0) + Math.max(sizeOf(btf, typeId) ?? 0, kind === 'struct' ? 0 : end)
  }
  for (const name of names) add(name, choose.of(values))
  if (choose.below(4) === 0) add('z', choose.of(values))
  if (
    names.length > 0 &&
    composites.length > 0 &&
    choose.below(3) === 0 &&
    !members.some((m) => m.name === 'z')
  ) {
    add('', choose.of(composites))
  }
  return { ...t.struct(choose.of(NAMES), end, members), kind }
}

/** Relocations of every kind; access strings lead somewhere where they can. */
function chooseRelos(choose: Chooser, local: Btf, count: number): HandRelo[] {
  // No compiler asks for a tag.
  const roots = Array.from({ length: local.idCount - 1 }, (_, i) => i + 1).filter(
    (id) => local.type(id).kind !== 'type_tag',
  )
  return Array.from({ length: count }, () => {
    const kind = choose.below(13)
    const typeId = choose.of(roots)
    if (
      kind >= ReloKind.TYPE_ID_LOCAL &&
      kind !== ReloKind.ENUMVAL_EXISTS &&
      kind !== ReloKind.ENUMVAL_VALUE
    ) {
      return [kind, typeId, '0']
    }
    if (kind > ReloKind.FIELD_RSHIFT_U64) return [kind, typeId, String(choose.below(3))]
    return [kind, typeId, chooseAccess(choose, local, typeId)]
  })
}

function chooseAccess(choose: Chooser, local: Btf, typeId: number): string {
  const parts = [choose.below(2)]
  let at = typeId
  for (let depth = 1 + choose.below(4); depth > 0; depth--) {
    const type = local.type(skipModifiersAndTypedefs(local, at))
    if ((type.kind === 'struct' || type.kind === 'union') && type.members.length > 0) {
      const index = choose.below(type.members.length)
      parts.push(index)
      at = type.members[index]?.typeId ?? 0
    } else if (type.kind === 'array') {
      parts.push(choose.below(3))
      at = type.typeId
    } else {
      break
    }
  }
  return parts.join(':')
}

/** Prints as what tells one case from another. */
interface Case {
  readonly types: BtfType[]
  readonly kernel: Btf
  readonly object: BpfObject
  readonly second: BpfObject
}

const cases: fc.Arbitrary<Case> = fc
  .tuple(choices(97), choices(89), choices(61), fc.boolean())
  .map(([kernelNumbers, localNumbers, reloNumbers, isAlike]) => {
    const types = chooseTypes(new Chooser(kernelNumbers), 16)
    // Half of the objects have the kernel's own types but for some, so that more is found.
    const localTypes = isAlike ? types.slice(0, 14) : chooseTypes(new Chooser(localNumbers), 10)
    const usable = isAlike ? localTypes.map((type) => withinReach(type, localTypes.length)) : localTypes
    const chooser = new Chooser(reloNumbers)
    const local = btfOf(usable)
    const relos = chooseRelos(chooser, local, 8)
    return {
      [fc.toStringMethod]: () =>
        JSON.stringify({ types, usable, relos }, (_, value: unknown) =>
          typeof value === 'bigint' ? Number(value) : value,
        ),
      types,
      kernel: btfOf(types),
      object: objectOf(usable, relos),
      second: objectOf(usable, chooseRelos(chooser, local, 4)),
    }
  })

/** A pointer to a type that was cut off points to void. */
function withinReach(type: BtfType, last: number): BtfType {
  return type.kind === 'ptr' && type.typeId > last ? { ...type, typeId: 0 } : type
}

const runs = { numRuns: 600 }

it('relocations come out the same on full and min BTF, which is valid', () => {
  fc.assert(
    fc.property(cases, ({ kernel, object }) => {
      validateBtf(kernel)
      validateBtf(parseBtf(minimize(kernel, [object]).bytes))
    }),
    runs,
  )
})

it('minimizing a min BTF again changes nothing', () => {
  fc.assert(
    fc.property(cases, ({ kernel, object }) => {
      const { bytes } = minimize(kernel, [object])
      expect(minimize(parseBtf(bytes), [object]).bytes).toEqual(bytes)
    }),
    runs,
  )
})

it('two objects together need what each needs', () => {
  fc.assert(
    fc.property(cases, ({ kernel, object, second }) => {
      const names = (...objects: BpfObject[]): string[] => namesIn(parseBtf(minimize(kernel, objects).bytes))
      const both = names(object, second)
      expect(both).toEqual([...new Set([...names(object), ...names(second)])].sort())
      expect(minimize(kernel, [second, object]).bytes).toEqual(minimize(kernel, [object, second]).bytes)
    }),
    runs,
  )
})

it('a big-endian kernel gives the same min BTF, byte-swapped', () => {
  fc.assert(
    fc.property(cases, ({ types, kernel, object }) => {
      const little = parseBtf(minimize(kernel, [object]).bytes)
      const big = parseBtf(minimize(parseBtf(encodeBtf(types, 'big')), [object]).bytes)
      expect(big.endian).toBe('big')
      expect(big.idCount).toBe(little.idCount)
      for (let id = 1; id < big.idCount; id++) expect(big.type(id)).toEqual(little.type(id))
    }),
    runs,
  )
})

it('cilium/ebpf finds in each candidate what it finds in the full BTF', () => {
  fc.assert(
    fc.property(cases, ({ kernel, object }) => {
      const local = object.btf
      if (local === null) return
      const min = parseBtf(minimize(kernel, [object]).bytes)
      // cilium/ebpf judges a candidate by all relocations of its type together.
      for (const typeId of new Set(object.relocations.map((relo) => relo.typeId))) {
        if (local.name(typeId) === '') continue
        const relos = object.relocations.filter((relo) => relo.typeId === typeId)
        const onFull = judgements(local, typeId, relos, kernel)
        expect(judgements(local, typeId, relos, min)).toEqual(onFull)
      }
    }),
    runs,
  )
})

/** For each candidate in turn what all relocations come to; those on which none comes to anything do not count. */
function judgements(
  local: Btf,
  typeId: number,
  relos: BpfObject['relocations'],
  target: Btf,
): (string | null)[][] {
  return ciliumCandidates(local, typeId, target)
    .map((candidate) => relos.map((relo) => ciliumFixup(local, relo, target, candidate)))
    .filter((fixups) => fixups.some((fixup) => fixup !== null))
}

it('bytes that are no object are refused, never more than that', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(() => parseBpfObject('noise', bytes)).toThrow(/object noise: no ELF file/)
    }),
  )
})
