import type { Resolution } from '../outcome.ts'
import {
  accessBytes,
  ALU,
  ALU64,
  INSN_BYTES,
  type Insn,
  insnClass,
  LDIMM64,
  LDX,
  ST,
  STX,
  withAccessBytes,
} from './insn.ts'
import type { ObjectCode } from './object-code.ts'

const EMPTY: Insn = { opcode: 0, dst: 0, src: 0, offset: 0, imm: 0 }

/** An object's instructions as a loader leaves them on one kernel. */
export class PatchedCode {
  readonly code: ObjectCode
  readonly #patched = new Map<string, Insn>()
  readonly #poisoned = new Set<string>()

  /** Follows bpf_core_patch_insn of libbpf (relo_core.c). Failed relocations change nothing: the object is refused. */
  constructor(code: ObjectCode, resolutions: readonly Resolution[]) {
    this.code = code
    for (const resolution of resolutions) this.#apply(resolution)
  }

  insn(section: string, number: number): Insn {
    return this.#patched.get(`${section}/${number}`) ?? this.code.sections.get(section)?.[number] ?? EMPTY
  }

  isPoisoned(section: string, number: number): boolean {
    return this.#poisoned.has(`${section}/${number}`)
  }

  #apply({ relocation: { section, insnOffset }, outcome, local }: Resolution): void {
    const number = insnOffset / INSN_BYTES
    const key = `${section}/${number}`
    if (outcome.status === 'failed') return
    if (outcome.status === 'poisoned') {
      this.#poisoned.add(key)
      return
    }
    const insn = this.insn(section, number)
    const value = outcome.status === 'resolved' ? outcome.value : 0n
    const low = Number(BigInt.asIntN(32, value))
    switch (insnClass(insn.opcode)) {
      case ALU:
      case ALU64:
        this.#patched.set(key, { ...insn, imm: low })
        return
      case LDX:
      case ST:
      case STX: {
        const bytes = outcome.status === 'resolved' ? outcome.accessBytes : 0
        const isResized = bytes !== local?.accessBytes && local?.accessBytes === accessBytes(insn.opcode)
        const opcode = isResized ? withAccessBytes(insn.opcode, bytes) : insn.opcode
        this.#patched.set(key, { ...insn, opcode, offset: low })
        return
      }
      default: {
        if (insn.opcode !== LDIMM64) return
        const high = this.insn(section, number + 1)
        this.#patched.set(key, { ...insn, imm: low })
        this.#patched.set(`${section}/${number + 1}`, {
          ...high,
          imm: Number(BigInt.asIntN(32, value >> 32n)),
        })
      }
    }
  }
}
