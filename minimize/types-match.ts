import { type Btf, essentialName, Kind, skipModifiersAndTypedefs } from '../btf/index.ts'
import { coreKind } from './relocation-kind.ts'
import type { StepBudget } from './step-budget.ts'
import { MAX_CHAIN, MAX_LEVEL, type Verdict } from './types-compat.ts'

const INT_SIGNED = 1

/**
 * Whether a type of the object "matches" one of the kernel, the strictest of CO-RE's relations: for TYPE_MATCHES.
 * Follows __bpf_core_types_match of libbpf (relo_core.c); equal questions are answered once.
 */
export function typesMatch(
  local: Btf,
  localId: number,
  target: Btf,
  targetId: number,
  budget: StepBudget,
): Verdict {
  const known = new Map<number, Verdict>()

  const compare = (rootLocal: number, rootTarget: number, behindPointer: boolean, level: number): Verdict => {
    const flags = level * 2 + (behindPointer ? 1 : 0)
    const key = (rootLocal * target.idCount + rootTarget) * (MAX_LEVEL * 2 + 2) + flags
    let verdict = known.get(key)
    if (verdict === undefined) {
      verdict = level <= 0 ? 'too-deep' : walk(rootLocal, rootTarget, behindPointer, level)
      known.set(key, verdict)
    }
    return verdict
  }

  const walk = (rootLocal: number, rootTarget: number, wasBehind: boolean, level: number): Verdict => {
    let [l, t, behindPointer] = [rootLocal, rootTarget, wasBehind]
    for (let step = 0; step < MAX_CHAIN; step++) {
      budget.spend()
      l = skipModifiersAndTypedefs(local, l)
      t = skipModifiersAndTypedefs(target, t)
      if (!namesMatch(local.name(l), target.name(t))) return 'no'
      const [localKind, targetKind] = [local.kind(l), target.kind(t)]
      switch (localKind) {
        case Kind.UNKN:
          return answer(targetKind === Kind.UNKN)
        case Kind.FWD: {
          const wanted = local.kindFlag(l) ? Kind.UNION : Kind.STRUCT
          const isSame = targetKind === Kind.FWD && target.kindFlag(t) === local.kindFlag(l)
          return answer(isSame || (behindPointer && targetKind === wanted))
        }
        case Kind.ENUM:
        case Kind.ENUM64:
          return answer(coreKind(targetKind) === Kind.ENUM && enumsMatch(local, l, target, t, budget))
        case Kind.STRUCT:
        case Kind.UNION:
          if (localKind !== targetKind) {
            const isDeclared = targetKind === Kind.FWD && target.kindFlag(t) === (localKind === Kind.UNION)
            return answer(behindPointer && isDeclared)
          }
          return behindPointer ? 'yes' : compositesMatch(l, t, level)
        case Kind.INT:
          return answer(
            targetKind === Kind.INT &&
              local.sizeOrType(l) === target.sizeOrType(t) &&
              intSigned(local, l) === intSigned(target, t),
          )
        case Kind.PTR:
          if (targetKind !== Kind.PTR) return 'no'
          behindPointer = true
          l = local.sizeOrType(l)
          t = target.sizeOrType(t)
          break
        case Kind.ARRAY:
          if (targetKind !== Kind.ARRAY || local.word(l, 5) !== target.word(t, 5)) return 'no'
          l = local.word(l, 3)
          t = target.word(t, 3)
          break
        case Kind.FUNC_PROTO: {
          const count = local.vlen(l)
          if (targetKind !== Kind.FUNC_PROTO || count !== target.vlen(t)) return 'no'
          for (let i = 0; i < count; i++) {
            const verdict = compare(
              local.word(l, 4 + i * 2),
              target.word(t, 4 + i * 2),
              behindPointer,
              level - 1,
            )
            if (verdict !== 'yes') return verdict
          }
          l = local.sizeOrType(l)
          t = target.sizeOrType(t)
          break
        }
        default:
          return 'no'
      }
    }
    return 'too-deep'
  }

  /** Each member of the object's type needs one of the same name in the kernel's that matches in turn. */
  const compositesMatch = (l: number, t: number, level: number): Verdict => {
    const [localCount, targetCount] = [local.vlen(l), target.vlen(t)]
    if (localCount > targetCount) return 'no'
    for (let i = 0; i < localCount; i++) {
      const name = essentialName(local.nameAt(l, local.word(l, 3 + i * 3)))
      let found = false
      for (let j = 0; j < targetCount && !found; j++) {
        budget.spend()
        if (essentialName(target.nameAt(t, target.word(t, 3 + j * 3))) !== name) continue
        const verdict = compare(local.word(l, 4 + i * 3), target.word(t, 4 + j * 3), false, level - 1)
        if (verdict === 'too-deep') return verdict
        found = verdict === 'yes'
      }
      if (!found) return 'no'
    }
    return 'yes'
  }

  return compare(localId, targetId, false, MAX_LEVEL)
}

/** Size equal, and every enumerator of the object's there; values do not count. */
function enumsMatch(local: Btf, l: number, target: Btf, t: number, budget: StepBudget): boolean {
  if (local.sizeOrType(l) !== target.sizeOrType(t) || local.vlen(l) > target.vlen(t)) return false
  const names = new Set(enumeratorNames(target, t, budget))
  return enumeratorNames(local, l, budget).every((name) => names.has(name))
}

function enumeratorNames(btf: Btf, id: number, budget: StepBudget): string[] {
  const step = btf.kind(id) === Kind.ENUM64 ? 3 : 2
  const names: string[] = []
  for (let i = 0; i < btf.vlen(id); i++) {
    budget.spend()
    names.push(essentialName(btf.nameAt(id, btf.word(id, 3 + i * step))))
  }
  return names
}

function namesMatch(local: string, target: string): boolean {
  return local === target || (target !== '' && essentialName(local) === essentialName(target))
}

function intSigned(btf: Btf, id: number): boolean {
  return ((btf.word(id, 3) >>> 24) & INT_SIGNED) !== 0
}

function answer(yes: boolean): Verdict {
  return yes ? 'yes' : 'no'
}
