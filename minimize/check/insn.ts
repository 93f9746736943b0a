import type { ByteReader } from '../../btf/index.ts'

/** One eBPF instruction, 8 bytes; `rX = imm64` takes two. Source: RFC 9669, section 3. */
export interface Insn {
  readonly opcode: number
  readonly dst: number
  readonly src: number
  /** Signed. */
  readonly offset: number
  /** Signed. */
  readonly imm: number
}

export const INSN_BYTES = 8

/** Instruction classes, the low three bits. */
export const LD = 0
export const LDX = 1
export const ST = 2
export const STX = 3
export const ALU = 4
export const JMP = 5
export const JMP32 = 6
export const ALU64 = 7

/** Second operand is a register. */
export const SOURCE_X = 0x08
export const LDIMM64 = 0x18
export const EXIT = 0x95
export const CALL = 0x85
export const CALLX = 0x8d
export const JA = 0x05
/** `gotol`, its distance in `imm`. */
export const JA32 = 0x06
/** `may_goto`, which can always fall through. */
export const JCOND = 0xe5

/** `src` of a call: another function of the program, or one of the kernel. */
export const PSEUDO_CALL = 1

const MODE_MEM = 0x60
const MODE_ATOMIC = 0xc0

export const insnClass = (opcode: number): number => opcode & 7
/** What an arithmetic or jump instruction does, the high four bits. */
export const insnOp = (opcode: number): number => opcode & 0xf0
/** Bytes that a load or store moves: BPF_W, BPF_H, BPF_B, BPF_DW. */
export const accessBytes = (opcode: number): number => [4, 2, 1, 8][(opcode >>> 3) & 3] ?? 8
export const isPlainMemory = (opcode: number): boolean => (opcode & 0xe0) === MODE_MEM
export const isAtomic = (opcode: number): boolean => (opcode & 0xe0) === MODE_ATOMIC

const SIZE_BITS: Readonly<Record<number, number>> = { 4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18 }

/** The opcode of the same load or store with another width; itself where there is no such width. */
export function withAccessBytes(opcode: number, bytes: number): number {
  const bits = SIZE_BITS[bytes]
  return bits === undefined ? opcode : (opcode & ~0x18) | bits
}

/** The instruction at a byte offset that is known to hold one. */
export function readInsn(reader: ByteReader, at: number): Insn {
  const regs = reader.u8(at + 1)
  const [low, high] = [regs & 0xf, regs >>> 4]
  const isLittle = reader.endian === 'little'
  return {
    opcode: reader.u8(at),
    dst: isLittle ? low : high,
    src: isLittle ? high : low,
    offset: (reader.u16(at + 2) << 16) >> 16,
    imm: reader.u32(at + 4) | 0,
  }
}
