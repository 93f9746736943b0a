import { failed, type Outcome } from './outcome.ts'
import type { ReloValue } from './relocation-value.ts'

/** Instruction classes, the low three bits of an opcode. Source: include/uapi/linux/bpf_common.h. */
const BPF_LD = 0
const BPF_LDX = 1
const BPF_ST = 2
const BPF_STX = 3
const BPF_ALU = 4
const BPF_ALU64 = 7
/** Source operand is a register; the relocatable forms have an immediate. */
const BPF_X = 0x08
/** `rX = imm64`: BPF_LD | BPF_IMM | BPF_DW. */
const LDIMM64 = 0x18
/** Bytes that a load or store moves, by the size bits of its opcode: BPF_W, BPF_H, BPF_B, BPF_DW. */
const ACCESS_BYTES = [4, 2, 1, 8] as const
const MAX_OFFSET = 0x7fff

/**
 * What becomes of an outcome when its instruction is patched: a load or store can hold only small offsets, and change
 * its width only where what is read stays the same. Follows bpf_core_patch_insn of libbpf (relo_core.c), except that
 * the number which the compiler left in the instruction is taken to be right. An unknown opcode takes everything.
 */
export function instructionTakes(opcode: number | null, local: ReloValue, outcome: Outcome): Outcome {
  if (opcode === null || outcome.status === 'failed' || outcome.status === 'poisoned') return outcome
  const value = outcome.status === 'resolved' ? outcome.value : 0n
  switch (opcode & 7) {
    case BPF_ALU:
    case BPF_ALU64:
      return (opcode & BPF_X) === 0 ? outcome : failed('unfit', 'an arithmetic instruction without immediate')
    case BPF_LD:
      return opcode === LDIMM64 ? outcome : failed('unfit', `a load with opcode 0x${opcode.toString(16)}`)
    case BPF_LDX:
    case BPF_ST:
    case BPF_STX:
      if (value > BigInt(MAX_OFFSET))
        return failed('unfit', `offset ${value} in a load, ${MAX_OFFSET} is the most`)
      return outcome.status === 'resolved' ? accessTakes(opcode, local, outcome) : outcome
    default:
      return failed('unfit', `an instruction with opcode 0x${opcode.toString(16)}`)
  }
}

function accessTakes(opcode: number, local: ReloValue, outcome: { status: 'resolved' } & ReloValue): Outcome {
  const { accessBytes, widthKind } = outcome
  if (local.accessBytes === accessBytes) return outcome
  if (local.widthKind !== widthKind || widthKind === 'other') {
    return {
      status: 'poisoned',
      because: { why: 'other-width', at: `${local.accessBytes} to ${accessBytes} bytes` },
    }
  }
  if (
    ACCESS_BYTES[(opcode >>> 3) & 3] !== local.accessBytes ||
    !ACCESS_BYTES.some((n) => n === accessBytes)
  ) {
    return failed('unfit', `a load of ${accessBytes} bytes instead of ${local.accessBytes}`)
  }
  return outcome
}
