import { Readable } from 'node:stream'
import { sha256Of } from '../core/digest.ts'
import type { BlobRef, BlobStore } from '../store/types.ts'

/** Bytes that can be sent, wherever they are kept. */
export interface Content extends BlobRef {
  /** Whole and checked against the digest. */
  read(): Promise<Uint8Array>
  /** A part; `end` is exclusive. */
  open(range?: { readonly start: number; readonly end: number }): Promise<Readable>
}

/** A blob of a store. */
export function blobContent(blobs: BlobStore, ref: BlobRef): Content {
  return {
    digest: ref.digest,
    sizeBytes: ref.sizeBytes,
    read: () => blobs.read(ref.digest),
    open: (range) => blobs.open(ref.digest, range),
  }
}

/** Bytes that are in memory already. */
export function memoryContent(bytes: Uint8Array): Content {
  return {
    digest: sha256Of(bytes),
    sizeBytes: bytes.byteLength,
    read: () => Promise.resolve(bytes),
    open: (range) => Promise.resolve(Readable.from([Buffer.from(bytes.subarray(range?.start, range?.end))])),
  }
}
