import type { MinimizeErrorCode } from '../errors.ts'

/** A tool as its objects are on disk. */
export interface PoolTool {
  readonly objects: readonly { readonly name: string; readonly bytes: Uint8Array }[]
}

/** The min BTF of one tool, or why there is none. */
export type PoolCut =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly code: MinimizeErrorCode; readonly message: string }

/** To a worker: one kernel. */
export interface PoolTask {
  readonly kernel: Uint8Array
}

/** From a worker, in the order of the pool's tools. */
export interface PoolAnswer {
  readonly cuts: readonly PoolCut[]
}
