import type { Sha256 } from '../core/digest.ts'
import type { BlobStore, Catalog, StoredBlob } from './types.ts'

/** A crawl may be between putting a blob and recording it; even pahole's longest run is shorter than this. */
export const GRACE_MS = 3600_000

export interface GarbageReport {
  /** Blobs that were removed, and their bytes. */
  readonly removed: number
  readonly removedBytes: number
  /** Blobs that were kept. */
  readonly kept: number
  /** Derived forms that were forgotten, because what they were made from is used by nothing. */
  readonly forgotten: number
}

/** Whether nothing points at a blob that was last put before a time. */
export function isGarbage(blob: StoredBlob, referenced: ReadonlySet<Sha256>, putBefore: Date): boolean {
  return blob.storedAt < putBefore && !referenced.has(blob.digest)
}

/**
 * Removes the blobs that nothing in the catalog points at. It may run while others write: what was put, or put again,
 * within `graceMs` stays.
 */
export async function collectGarbage(
  store: { readonly catalog: Catalog; readonly blobs: BlobStore },
  options: { readonly graceMs?: number; readonly signal?: AbortSignal } = {},
): Promise<GarbageReport> {
  const putBefore = new Date(Date.now() - (options.graceMs ?? GRACE_MS))
  const blobs: StoredBlob[] = []
  for await (const blob of store.blobs.list()) blobs.push(blob)
  // After the listing, so that whatever is recorded in between still counts.
  const forgotten = await store.catalog.prune()
  const referenced = await store.catalog.referencedBlobs()

  let removed = 0
  let removedBytes = 0
  for (const blob of blobs.filter((each) => isGarbage(each, referenced, putBefore))) {
    options.signal?.throwIfAborted()
    if (!(await store.blobs.remove(blob.digest, { unlessPutSince: putBefore }))) continue
    removed += 1
    removedBytes += blob.sizeBytes
  }
  return { removed, removedBytes, kept: blobs.length - removed, forgotten }
}
