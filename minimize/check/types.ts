/**
 * What a relocation comes to in a program. `resolves`: it gets its value. `absent`: the kernel has no such thing, and
 * the relocation asks just that. `guarded`: it gets no value, and no run of the program comes to it, since a check that
 * is false on this kernel stands before it. `fails`: the program, or the whole object, is refused.
 */
export type Verdict = 'resolves' | 'absent' | 'guarded' | 'fails'

/**
 * `missing-type`, `missing-member`, `missing-enumerator`: the kernel has none of that name. `incompatible`: it has one
 * of another type, shape or width. `ambiguous`: it has several that disagree. `invalid`: the object itself is wrong.
 */
export type CheckReason =
  'missing-type' | 'missing-member' | 'missing-enumerator' | 'incompatible' | 'ambiguous' | 'invalid'

export interface RelocationCheck {
  /** ELF section and number in it, as libbpf's log counts. */
  readonly section: string
  readonly number: number
  /** The function with the instruction, and the instruction's byte offset in it. */
  readonly functionName: string | null
  readonly functionOffset: number
  /** `byte_off`, `field_exists`: libbpf's name of the relocation kind. */
  readonly kind: string
  /** `task_struct.start_boottime`. */
  readonly asks: string
  readonly verdict: Verdict
  /** Byte offset, size, 1 for what exists; null where there is none. Ids of types are of the BTF that was asked. */
  readonly value: bigint | null
  readonly reason: CheckReason | null
  /** What exactly is missing: the type, or all that was asked. Empty where nothing is. */
  readonly subject: string
  /** True where the loader refuses the object as a whole. */
  readonly refusesObject: boolean
}

export interface ProgramCheck {
  readonly name: string
  readonly section: string
  /** libbpf loads it only where it is told to (`SEC("?…")`). */
  readonly isOptional: boolean
  /** Of the program and all functions that it calls. */
  readonly relocations: readonly RelocationCheck[]
}

/** One object on one kernel. */
export interface ObjectCheck {
  readonly name: string
  readonly programs: readonly ProgramCheck[]
  /** Relocations of functions that no program calls. */
  readonly unused: readonly RelocationCheck[]
}

/** Something of an object that external BTF cannot serve. */
export interface KernelOnly {
  /** The program, map or symbol. */
  readonly name: string
  readonly what: 'fentry' | 'tp_btf' | 'iter' | 'lsm' | 'struct_ops' | 'extension' | 'ksym'
}
