import type { KernelOnly, ObjectCheck } from '../check/types.ts'
import type { MinimizeErrorCode } from '../errors.ts'
import type { Minimized } from '../minimize.ts'

/** A tool as its objects are on disk. */
export interface PoolTool {
  readonly objects: readonly { readonly name: string; readonly bytes: Uint8Array }[]
}

/** Why there is nothing of a tool on a kernel. */
export interface PoolRefusal {
  readonly ok: false
  readonly code: MinimizeErrorCode
  readonly message: string
}

/** The min BTF of one tool. */
export type PoolCut = ({ readonly ok: true } & Pick<Minimized, 'bytes' | 'types' | 'counts'>) | PoolRefusal

/** What the relocations of one tool's objects come to. */
export type PoolCheck =
  | {
      readonly ok: true
      readonly objects: readonly ObjectCheck[]
      /** By object: what external BTF cannot serve, on whatever kernel. */
      readonly kernelOnly: readonly (readonly [object: string, parts: readonly KernelOnly[]])[]
    }
  | PoolRefusal

/** A tool that threads know by its number once they have read it. */
export interface NumberedTool extends PoolTool {
  readonly id: number
}

/** To a worker: work on one kernel. */
export type PoolTask =
  | { readonly kind: 'cut'; readonly tools: readonly NumberedTool[]; readonly kernel: Uint8Array }
  /** `isBrief`: relocations that come to what they ask for are left out. */
  | {
      readonly kind: 'check'
      readonly tools: readonly NumberedTool[]
      readonly kernel: Uint8Array
      readonly isBrief: boolean
    }

/** From a worker, in the order of the task's tools. */
export type PoolAnswer =
  | { readonly kind: 'cut'; readonly results: readonly PoolCut[] }
  | { readonly kind: 'check'; readonly results: readonly PoolCheck[] }
