import { insnOp, JMP32, insnClass } from './insn.ts'
import type { Value } from './value.ts'

/**
 * Whether a conditional jump is taken; null where that is not known. Source: is_branch_taken of
 * kernel/bpf/verifier.c, constants only.
 */
export function isTaken(opcode: number, dst: Value, src: Value): boolean | null {
  if (dst.kind !== 'const' || src.kind !== 'const') return null
  const bits = insnClass(opcode) === JMP32 ? 32 : 64
  const [a, b] = [BigInt.asUintN(bits, dst.value), BigInt.asUintN(bits, src.value)]
  const [signedA, signedB] = [BigInt.asIntN(bits, a), BigInt.asIntN(bits, b)]
  switch (insnOp(opcode)) {
    case 0x10:
      return a === b
    case 0x20:
      return a > b
    case 0x30:
      return a >= b
    case 0x40:
      return (a & b) !== 0n
    case 0x50:
      return a !== b
    case 0x60:
      return signedA > signedB
    case 0x70:
      return signedA >= signedB
    case 0xa0:
      return a < b
    case 0xb0:
      return a <= b
    case 0xc0:
      return signedA < signedB
    case 0xd0:
      return signedA <= signedB
    default:
      return null
  }
}
