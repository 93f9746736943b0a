import { Readable } from 'node:stream'
import { sha256Of, type Sha256 } from '../core/digest.ts'
import { notFound } from './blob-checks.ts'
import type { BlobRef, BlobStore, StoredBlob } from './types.ts'

/** Blobs in memory, gone with the process: for tests, and for work that keeps nothing. */
export function createMemoryBlobs(): BlobStore {
  return new MemoryBlobs()
}

class MemoryBlobs implements BlobStore {
  readonly #blobs = new Map<Sha256, { readonly bytes: Uint8Array; storedAt: Date }>()

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const digest = sha256Of(bytes)
    const kept = this.#blobs.get(digest)
    if (kept === undefined) this.#blobs.set(digest, { bytes: bytes.slice(), storedAt: new Date() })
    else kept.storedAt = new Date()
    return { digest, sizeBytes: bytes.byteLength }
  }

  async read(digest: Sha256): Promise<Uint8Array> {
    return this.#bytes(digest).slice()
  }

  async open(digest: Sha256, range?: { readonly start: number; readonly end: number }): Promise<Readable> {
    const part = this.#bytes(digest).slice(range?.start, range?.end)
    return Readable.from(part.byteLength === 0 ? [] : [Buffer.from(part)])
  }

  async size(digest: Sha256): Promise<number | null> {
    return this.#blobs.get(digest)?.bytes.byteLength ?? null
  }

  async stat(digest: Sha256): Promise<StoredBlob | null> {
    const kept = this.#blobs.get(digest)
    return kept === undefined ? null : { digest, sizeBytes: kept.bytes.byteLength, storedAt: kept.storedAt }
  }

  async link(digest: Sha256): Promise<boolean> {
    this.#bytes(digest)
    return false
  }

  async *list(): AsyncIterable<StoredBlob> {
    for (const [digest, { bytes, storedAt }] of [...this.#blobs]) {
      yield { digest, sizeBytes: bytes.byteLength, storedAt }
    }
  }

  async remove(digest: Sha256, options?: { readonly unlessPutSince: Date }): Promise<boolean> {
    const kept = this.#blobs.get(digest)
    if (options !== undefined && kept !== undefined && kept.storedAt >= options.unlessPutSince) return false
    return this.#blobs.delete(digest)
  }

  #bytes(digest: Sha256): Uint8Array {
    const kept = this.#blobs.get(digest)
    if (kept === undefined) throw notFound(digest)
    return kept.bytes
  }
}
