import { createHash, type Hash } from 'node:crypto'

/** A sha256 in lower-case hex. Only {@link sha256Of}, {@link parseSha256} and {@link DigestTap} make one. */
export type Sha256 = string & { readonly __brand: 'Sha256' }

/** sha256 of bytes that are in memory. */
export function sha256Of(bytes: Uint8Array | string): Sha256 {
  return createHash('sha256').update(bytes).digest('hex') as Sha256
}

/** A sha256 from text, upper or lower case; null where the text is not one. */
export function parseSha256(text: string): Sha256 | null {
  return /^[0-9a-f]{64}$/i.test(text) ? (text.toLowerCase() as Sha256) : null
}

/** Hashes and counts bytes as they pass. */
export class DigestTap {
  readonly #hash: Hash = createHash('sha256')
  #sizeBytes = 0

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk)
    this.#sizeBytes += chunk.byteLength
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** The digest of all that has passed; the tap is spent afterwards. */
  digest(): Sha256 {
    return this.#hash.digest('hex') as Sha256
  }
}
