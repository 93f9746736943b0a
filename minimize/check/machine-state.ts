import { ANY, joinValues, sameValue, SCALAR, type Value } from './value.ts'

interface Slot {
  readonly bytes: number
  readonly value: Value
}

const REGISTERS = 11
const FRAME_POINTER = 10
const REGISTER_BYTES = 8

/** What is known of registers and of the function's own stack frame at one instruction. */
export class MachineState {
  readonly #regs: Value[]
  /** By their first byte, from r10; they do not overlap. What is in none may be anything. */
  readonly #slots: Map<number, Slot>

  private constructor(regs: Value[], slots: Map<number, Slot>) {
    this.#regs = regs
    this.#slots = slots
  }

  /** At the start of a function with these in r1 and up. */
  static atEntry(args: readonly Value[]): MachineState {
    const regs = Array.from({ length: REGISTERS }, (_, i) => args[i - 1] ?? SCALAR)
    regs[FRAME_POINTER] = { kind: 'frame', offset: 0 }
    return new MachineState(regs, new Map())
  }

  copy(): MachineState {
    return new MachineState([...this.#regs], new Map(this.#slots))
  }

  reg(number: number): Value {
    return this.#regs[number] ?? ANY
  }

  setReg(number: number, value: Value): void {
    // Writing to r10 is refused by every verifier.
    if (number !== FRAME_POINTER) this.#regs[number] = value
  }

  /**
   * What a load from the frame gives. Only what was stored as a whole at the same place is known again: the verifier
   * knows more on recent kernels.
   */
  load(offset: number, bytes: number): Value {
    const slot = this.#slots.get(offset)
    if (slot !== undefined && slot.bytes === bytes) return slot.value
    // No address fits into less than a register.
    return bytes < REGISTER_BYTES ? SCALAR : ANY
  }

  /**
   * Remembers what is stored into the frame. The verifier keeps constants only where their slot starts at a register's
   * boundary, zero aside (check_stack_write_fixed_off).
   */
  store(offset: number, bytes: number, value: Value): void {
    this.forget(offset, offset + bytes)
    this.#slots.set(offset, { bytes, value: kept(offset, bytes, value) })
  }

  /** Forgets bytes of the frame, `end` exclusive. */
  forget(start: number, end: number): void {
    for (const [offset, { bytes }] of this.#slots) {
      if (offset < end && start < offset + bytes) this.#slots.delete(offset)
    }
  }

  forgetFrame(): void {
    this.#slots.clear()
  }

  /** Takes in what is known on another way to the same instruction; false where nothing became less certain. */
  join(other: MachineState): boolean {
    let changed = false
    for (const [i, mine] of this.#regs.entries()) {
      const joined = joinValues(mine, other.reg(i))
      if (sameValue(joined, mine)) continue
      this.#regs[i] = joined
      changed = true
    }
    for (const [offset, mine] of this.#slots) {
      const theirs = other.#slots.get(offset)
      if (theirs === undefined || theirs.bytes !== mine.bytes) {
        this.#slots.delete(offset)
        changed = true
        continue
      }
      const value = joinValues(mine.value, theirs.value)
      if (sameValue(value, mine.value)) continue
      this.#slots.set(offset, { bytes: mine.bytes, value })
      changed = true
    }
    return changed
  }
}

function kept(offset: number, bytes: number, value: Value): Value {
  const isAligned = offset % REGISTER_BYTES === 0
  if (value.kind === 'const') {
    const stored = BigInt.asUintN(bytes * 8, value.value)
    return isAligned || stored === 0n ? { kind: 'const', value: stored } : SCALAR
  }
  if (bytes < REGISTER_BYTES) return SCALAR
  return value.kind === 'frame' && !isAligned ? ANY : value
}
