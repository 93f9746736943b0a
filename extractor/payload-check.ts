import { createHash, type Hash } from 'node:crypto'
import type { PayloadProof } from '../core/package-proof.ts'
import type { PayloadDigest } from './rpm.ts'
import { ExtractError } from './types.ts'

/** Hashes a package's payload and holds it against what the package says of it. */
class DigestCheck implements PayloadProof {
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

  /** Throws ExtractError `MALFORMED` where the digest is another one. */
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

/** All that has to see a package's payload, whoever reads it. */
export class PayloadCheck implements PayloadProof {
  readonly #proofs: readonly PayloadProof[]

  constructor(digest: PayloadDigest | null, proof: PayloadProof | null, name: string) {
    const own = digest === null ? null : new DigestCheck(digest, name)
    this.#proofs = [own, proof].filter((one) => one !== null)
  }

  update(chunk: Uint8Array): void {
    for (const proof of this.#proofs) proof.update(chunk)
  }

  /** Gives the chunks of `payload` on after all have seen them. */
  async *tap(payload: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of payload) {
      this.update(chunk)
      yield chunk
    }
  }

  verify(): void {
    for (const proof of this.#proofs) proof.verify()
  }
}
