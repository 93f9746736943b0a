import { ALU, ALU64, type Insn, insnClass, insnOp } from './insn.ts'
import { ANY, constant, mayBeFrame, SCALAR, type Value } from './value.ts'

const Op = {
  ADD: 0x00,
  SUB: 0x10,
  MUL: 0x20,
  OR: 0x40,
  AND: 0x50,
  LSH: 0x60,
  RSH: 0x70,
  XOR: 0xa0,
  MOV: 0xb0,
  ARSH: 0xc0,
} as const

/**
 * The result of an arithmetic instruction, known only where the kernel's verifier knows it too: division, negation,
 * byte swaps and sign extensions of constants it computes only since recently, if at all. Source:
 * adjust_scalar_min_max_vals of kernel/bpf/verifier.c.
 */
export function arithmetic({ opcode, offset }: Insn, dst: Value, src: Value): Value {
  const op = insnOp(opcode)
  const isNarrow = insnClass(opcode) === ALU
  const unknown = !isNarrow && (mayBeFrame(dst) || mayBeFrame(src)) ? ANY : SCALAR
  if (op === Op.MOV) {
    if (offset !== 0) return !isNarrow && mayBeFrame(src) ? ANY : SCALAR
    return isNarrow ? narrow(src) : src
  }
  if (insnClass(opcode) === ALU64 && (op === Op.ADD || op === Op.SUB)) {
    const moved = moveAddress(op, dst, src)
    if (moved !== null) return moved
  }
  if (op === Op.AND && [dst, src].some((each) => each.kind === 'const' && each.value === 0n)) {
    if (unknown === SCALAR) return constant(0n)
  }
  if (dst.kind !== 'const' || src.kind !== 'const') return unknown
  const bits = isNarrow ? 32 : 64
  const result = compute(op, BigInt.asUintN(bits, dst.value), BigInt.asUintN(bits, src.value), bits)
  return result === null ? SCALAR : constant(BigInt.asUintN(bits, result))
}

function narrow(value: Value): Value {
  return value.kind === 'const' ? constant(BigInt.asUintN(32, value.value)) : SCALAR
}

function moveAddress(op: number, dst: Value, src: Value): Value | null {
  const [frame, by] = dst.kind === 'frame' ? [dst, src] : op === Op.ADD ? [src, dst] : [null, null]
  if (frame === null || frame.kind !== 'frame' || by.kind !== 'const') return null
  const distance = Number(BigInt.asIntN(64, by.value))
  return { kind: 'frame', offset: op === Op.ADD ? frame.offset + distance : frame.offset - distance }
}

function compute(op: number, a: bigint, b: bigint, bits: number): bigint | null {
  switch (op) {
    case Op.ADD:
      return a + b
    case Op.SUB:
      return a - b
    case Op.MUL:
      return a * b
    case Op.OR:
      return a | b
    case Op.AND:
      return a & b
    case Op.XOR:
      return a ^ b
    case Op.LSH:
      return b < bits ? a << b : null
    case Op.RSH:
      return b < bits ? a >> b : null
    case Op.ARSH:
      return b < bits ? BigInt.asIntN(bits, a) >> b : null
    default:
      return null
  }
}
