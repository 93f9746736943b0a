import { limits } from '../../core/limits.ts'
import { arithmetic } from './arithmetic.ts'
import { isTaken } from './branch.ts'
import { applyCall, applyHelper } from './helper-effects.ts'
import {
  accessBytes,
  ALU,
  ALU64,
  CALL,
  CALLX,
  EXIT,
  type Insn,
  insnClass,
  isAtomic,
  isPlainMemory,
  JA,
  JA32,
  JCOND,
  JMP,
  JMP32,
  LD,
  LDIMM64,
  LDX,
  PSEUDO_CALL,
  SOURCE_X,
  ST,
  STX,
} from './insn.ts'
import { MachineState } from './machine-state.ts'
import type { CodeFunction, ObjectCode } from './object-code.ts'
import type { PatchedCode } from './patched-code.ts'
import { ANY, constant, joinValues, SCALAR, type Value } from './value.ts'

/** Says of each instruction whether the verifier may come to it. */
export type Reach = (section: string, insn: number) => boolean

/** libbpf and the kernel: MAX_CALL_FRAMES. */
const MAX_FRAMES = 8
const UNKNOWN_ARGUMENTS: readonly Value[] = [SCALAR, SCALAR, SCALAR, SCALAR, SCALAR]
const COMPARE_EXCHANGE = 0xf1

/**
 * The instructions of a program that the kernel's verifier may come to, once relocations have their values. It prunes
 * branches on constants (check_cond_jmp_op of kernel/bpf/verifier.c); here constants are followed through registers,
 * the stack frame and calls, less far than the verifier follows them, so that what is not reached here it never
 * reaches. Instructions that cannot be understood make everything reachable.
 */
export function reachOf(patched: PatchedCode, program: CodeFunction): Reach {
  const walk = new Walk(patched)
  try {
    walk.program(program)
  } catch (err) {
    if (!(err instanceof Unclear)) throw err
    return () => true
  }
  return (section, insn) => walk.reached.has(`${section}/${insn}`)
}

/** Thrown where the analysis has to give up. */
class Unclear extends Error {}

class Walk {
  readonly reached = new Set<string>()
  readonly #patched: PatchedCode
  readonly #code: ObjectCode
  /** What a function returns, by it and its arguments; null where it never does. */
  readonly #results = new Map<string, Value | null>()
  readonly #callbacks = new Set<CodeFunction>()
  #hasCallbacks = false
  #depth = 0
  #steps = 0

  constructor(patched: PatchedCode) {
    this.#patched = patched
    this.#code = patched.code
  }

  program(program: CodeFunction): void {
    const functions = this.#code.closure(program)
    this.#hasCallbacks = functions.some(({ section, start, end }) =>
      range(start, end).some((insn) => this.#isCallback(section, insn)),
    )
    this.#call(program, UNKNOWN_ARGUMENTS)
    for (const each of functions) if (each.isGlobal) this.#call(each, UNKNOWN_ARGUMENTS)
    // A Set hands out what is added while it is walked.
    for (const callback of this.#callbacks) this.#call(callback, UNKNOWN_ARGUMENTS)
  }

  #isCallback(section: string, insn: number): boolean {
    const referred = this.#code.reference(section, insn)
    const isLoad = this.#code.sections.get(section)?.[insn]?.opcode === LDIMM64
    return isLoad && referred !== null && referred !== 'other'
  }

  /** Walks a function; gives what is known of r0 where it returns, null where it does not. */
  #call(called: CodeFunction, args: readonly Value[]): Value | null {
    // An address in the caller's frame is none in the callee's.
    const own = args.map((arg) => (arg.kind === 'const' ? arg : SCALAR))
    const key = `${called.section}/${called.start} ${own.map((arg) => (arg.kind === 'const' ? arg.value : '?')).join(' ')}`
    const known = this.#results.get(key)
    if (known !== undefined) return known
    if (++this.#depth > MAX_FRAMES) throw new Unclear('calls too deep')
    const result = this.#walk(called, own)
    this.#depth--
    this.#results.set(key, result)
    return result
  }

  #walk(walked: CodeFunction, args: readonly Value[]): Value | null {
    const { section, start } = walked
    const insns = this.#code.sections.get(section) ?? []
    const joins = joinPoints(insns, walked)
    const states = new Map([[start, MachineState.atEntry(args)]])
    const pending = [start]
    let result: Value | null = null
    const flowTo = (insn: number, state: MachineState): void => {
      if (insn < start || insn >= walked.end) throw new Unclear('a jump out of the function')
      const there = states.get(insn)
      if (there === undefined) states.set(insn, state.copy())
      else if (!there.join(state)) return
      pending.push(insn)
    }
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      const state = states.get(at)?.copy()
      if (state === undefined) continue
      for (let next: number | null = at; next !== null;) {
        const insn: number = next
        const step = this.#step(section, insn, state)
        for (const target of step.jumps) flowTo(target, state)
        if (step.returns !== null) result = result === null ? step.returns : joinValues(result, step.returns)
        next = step.next
        if (next !== null && (joins.has(next) || next >= walked.end)) {
          flowTo(next, state)
          next = null
        }
      }
    }
    return result
  }

  #step(section: string, number: number, state: MachineState): Step {
    if (++this.#steps > limits.object.maxCheckSteps) throw new Unclear('too many steps')
    this.reached.add(`${section}/${number}`)
    const insn = this.#patched.insn(section, number)
    const width = insn.opcode === LDIMM64 ? 2 : 1
    const onwards: Step = { jumps: [], next: number + width, returns: null }
    if (this.#patched.isPoisoned(section, number)) {
      // The verifier ends here; what comes after is judged as if it had not.
      if (insnClass(insn.opcode) !== ST && insnClass(insn.opcode) !== STX) state.setReg(insn.dst, SCALAR)
      return onwards
    }
    switch (insnClass(insn.opcode)) {
      case ALU:
      case ALU64: {
        const source = (insn.opcode & SOURCE_X) === 0 ? constant(BigInt(insn.imm)) : state.reg(insn.src)
        state.setReg(insn.dst, arithmetic(insn, state.reg(insn.dst), source))
        return onwards
      }
      case LD:
        this.#load64(section, number, insn, state)
        return onwards
      case LDX:
        state.setReg(insn.dst, loaded(insn, state))
        return onwards
      case ST:
      case STX:
        store(insn, state)
        return onwards
      default:
        return this.#jump(section, number, insn, state)
    }
  }

  #load64(section: string, number: number, insn: Insn, state: MachineState): void {
    if (insn.opcode !== LDIMM64) {
      // Legacy loads from packets: r0 is the result, r1 to r5 are gone.
      for (let reg = 0; reg <= 5; reg++) state.setReg(reg, SCALAR)
      return
    }
    const referred = this.#code.reference(section, number)
    if (referred === null && insn.src === 0) {
      const high = this.#patched.insn(section, number + 1).imm
      state.setReg(insn.dst, constant((BigInt(high) << 32n) | BigInt(insn.imm >>> 0)))
      return
    }
    if (referred !== null && referred !== 'other') this.#callbacks.add(referred)
    state.setReg(insn.dst, SCALAR)
  }

  #jump(section: string, number: number, insn: Insn, state: MachineState): Step {
    const { opcode, offset, imm } = insn
    const next = number + 1
    switch (opcode) {
      case EXIT: {
        const result = state.reg(0)
        return { jumps: [], next: null, returns: result.kind === 'const' ? result : SCALAR }
      }
      case JA:
        return { jumps: [next + offset], next: null, returns: null }
      case JA32:
        return { jumps: [next + imm], next: null, returns: null }
      case JCOND:
        return { jumps: [next + offset], next, returns: null }
      case CALL:
        return this.#callStep(section, number, insn, state)
      case CALLX:
        throw new Unclear('a call of a register')
      default: {
        if (insnClass(opcode) !== JMP && insnClass(opcode) !== JMP32)
          throw new Unclear('an unknown instruction')
        const source = (opcode & SOURCE_X) === 0 ? constant(BigInt(imm)) : state.reg(insn.src)
        const taken = isTaken(opcode, state.reg(insn.dst), source)
        return {
          jumps: taken === false ? [] : [next + offset],
          next: taken === true ? null : next,
          returns: null,
        }
      }
    }
  }

  #callStep(section: string, number: number, insn: Insn, state: MachineState): Step {
    const next = number + 1
    const isLocal = insn.src === PSEUDO_CALL
    const callee = this.#code.callee(section, number)
    if (callee === null) {
      if (isLocal && this.#code.reference(section, number) === null) throw new Unclear('a call of nothing')
      applyHelper(state, insn.src === 0 ? insn.imm : null, this.#hasCallbacks)
      return { jumps: [], next, returns: null }
    }
    const args = callee.isGlobal ? UNKNOWN_ARGUMENTS : [1, 2, 3, 4, 5].map((reg) => state.reg(reg))
    const result = this.#call(callee, args)
    applyCall(state)
    if (result === null && !callee.isGlobal) return { jumps: [], next: null, returns: null }
    state.setReg(0, callee.isGlobal || result === null ? SCALAR : result)
    return { jumps: [], next, returns: null }
  }
}

interface Step {
  readonly jumps: readonly number[]
  /** The instruction that follows; null where none does. */
  readonly next: number | null
  /** What is returned, where the function ends here. */
  readonly returns: Value | null
}

function loaded(insn: Insn, state: MachineState): Value {
  const bytes = accessBytes(insn.opcode)
  const base = state.reg(insn.src)
  if (!isPlainMemory(insn.opcode)) return SCALAR
  if (base.kind === 'frame') return state.load(base.offset + insn.offset, bytes)
  return base.kind === 'any' && bytes === 8 ? ANY : SCALAR
}

function store(insn: Insn, state: MachineState): void {
  const { opcode, imm } = insn
  const bytes = accessBytes(opcode)
  const base = state.reg(insn.dst)
  const isPlain = isPlainMemory(opcode)
  const value = insnClass(opcode) === ST ? constant(BigInt(imm)) : isPlain ? state.reg(insn.src) : SCALAR
  if (base.kind === 'any') state.forgetFrame()
  if (base.kind === 'frame') {
    const at = base.offset + insn.offset
    if (isPlain) state.store(at, bytes, value)
    else state.forget(at, at + bytes)
  }
  if (!isAtomic(opcode)) return
  // Fetching operations give back what was there.
  if (imm === COMPARE_EXCHANGE) state.setReg(0, ANY)
  else if ((imm & 1) !== 0) state.setReg(insn.src, ANY)
}

/** Where control may come from more than the instruction before. */
function joinPoints(insns: readonly Insn[], { start, end }: CodeFunction): ReadonlySet<number> {
  const points = new Set<number>()
  for (let number = start; number < end; number++) {
    const { opcode, offset, imm } = insns[number] as Insn
    const kind = insnClass(opcode)
    if (opcode === LDIMM64) number++
    else if (opcode === JA32) points.add(number + 1 + imm)
    else if ((kind === JMP || kind === JMP32) && opcode !== CALL && opcode !== EXIT)
      points.add(number + 1 + offset)
  }
  return points
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i)
}
