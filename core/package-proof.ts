/** What an RPM package says of itself before its payload, for whoever can tell whether it is signed. */
export interface SignedHead {
  /** `kernel-core`, `4.18.0`, `348.el8`; null where the package does not say. */
  readonly name: string | null
  readonly version: string | null
  readonly release: string | null
  /** The header structure as it is stored: what is signed. */
  readonly header: Uint8Array
  /** OpenPGP signatures of the header. */
  readonly ofHeader: readonly Uint8Array[]
  /** OpenPGP signatures of the header with the stored payload behind it. */
  readonly ofPackage: readonly Uint8Array[]
  /** True where the header states a digest of the payload that counts: who signed the header signed that too. */
  readonly vouchesForPayload: boolean
}

/** Sees all of a package's stored payload. */
export interface PayloadProof {
  update(chunk: Uint8Array): void
  /** After the last byte. Throws where the payload is not what was signed, or not what the package says. */
  verify(): void
}

/** Told of a package's head before anything else of it is believed; gives what has to see the payload. Throws to refuse it. */
export type HeadJudge = (head: SignedHead) => Promise<PayloadProof | null>
