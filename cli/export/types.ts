import type { Sha256 } from '../../core/digest.ts'
import { HubError } from '../../core/errors.ts'

/**
 * `NOT_EMPTY`: a folder that holds something else than an export. `FOREIGN`: an export that another key signed.
 * `DAMAGED`: an export whose own index cannot be read.
 */
export type ExportErrorCode = 'NOT_EMPTY' | 'FOREIGN' | 'DAMAGED'
export class ExportError extends HubError<ExportErrorCode> {}

/** A file that a tree is to have. */
export interface TreeFile {
  /** Below the root, `core/signed-index` `checkTreePath`. */
  readonly path: string
  readonly digest: Sha256
  /** Null for a blob of the store. What is large is made when it is written. */
  readonly bytes: Uint8Array | (() => Promise<Uint8Array>) | null
}

/** Forms of each full BTF that a tree can have, besides the raw one. */
export const TREE_FORMS = ['gz', 'xz', 'tar.xz', 'elf'] as const
export type TreeForm = (typeof TREE_FORMS)[number]
