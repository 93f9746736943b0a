/** What changed between two kernels' layouts, as data. */

/** A type that layouts are made of, as one BTF has it. */
export interface TypeShape {
  /** `struct`, `union`, `enum`, `typedef`; enums of 64 bits are enums. */
  readonly kind: ShapeKind
  readonly name: string
  /** Null for typedefs, whose size is that of what they stand for. */
  readonly sizeBytes: number | null
  /** Members, those of anonymous and inner nameless structs by their path: `a.b`. */
  readonly members: ReadonlyMap<string, MemberShape>
  /** Constants of an enum. */
  readonly values: ReadonlyMap<string, bigint>
  /** What a typedef stands for, as C; empty for others. */
  readonly target: string
}

export type ShapeKind = 'struct' | 'union' | 'enum' | 'typedef'

export interface MemberShape {
  readonly path: string
  /** Its type as C would name it, `struct list_head` or `char [16]`. */
  readonly type: string
  readonly offsetBits: number
  /** 0 where it is no bitfield. */
  readonly bitfieldBits: number
  /** Null where it has none (a forward declaration). */
  readonly sizeBytes: number | null
}

export interface MemberChange {
  readonly path: string
  /** Null where the first BTF has no such member. */
  readonly from: MemberShape | null
  /** Null where the second has none. */
  readonly to: MemberShape | null
  /** True where both have it, at different places. */
  readonly isMoved: boolean
  /** True where both have it with another type, size or width. */
  readonly isRetyped: boolean
}

export interface ValueChange {
  readonly name: string
  readonly from: bigint | null
  readonly to: bigint | null
}

export type TypeChange =
  | {
      readonly change: 'added' | 'removed'
      readonly kind: ShapeKind
      readonly name: string
      readonly shape: TypeShape
    }
  | {
      readonly change: 'changed'
      readonly kind: ShapeKind
      readonly name: string
      /** What was and what is; sizes and typedefs' targets are compared by these. */
      readonly from: TypeShape
      readonly to: TypeShape
      readonly members: readonly MemberChange[]
      readonly values: readonly ValueChange[]
    }
