import { createHash, type Hash } from 'node:crypto'
import type { PayloadDigest } from './rpm.ts'
import { ExtractError } from './types.ts'

/** Hashes a package's payload, whoever reads it, and holds it against what the package says of it. */
export class PayloadCheck {
  readonly #digest: PayloadDigest
  readonly #hash: Hash
  readonly #name: string

  constructor(digest: PayloadDigest, name: string) {
    this.#digest = digest
    this.#name = name
    this.#hash = createHash(digest.algorithm).update(digest.prefix)
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk)
  }

  /** Gives the chunks of `payload` on while it hashes them. */
  async *tap(payload: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of payload) {
      this.update(chunk)
      yield chunk
    }
  }

  /** After the last byte. Throws ExtractError `MALFORMED` where the digest is another one. */
  verify(): void {
    const { algorithm, expected } = this.#digest
    const got = this.#hash.digest('hex')
    if (got === expected) return
    throw new ExtractError(
      'MALFORMED',
      `${this.#name}: payload has ${algorithm} ${got}, the package states ${expected}: damaged or cut`,
    )
  }
}
