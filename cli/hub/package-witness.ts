import type { PackageFile } from '../../core/kernel-package.ts'
import type { HeadJudge, PayloadProof } from '../../core/package-proof.ts'
import { CrawlError, type PackageTrust } from '../../crawler/index.ts'

/** Sees one package being read, and tells whose signature it has. */
export interface PackageWitness {
  readonly judge: HeadJudge
  /**
   * The fingerprint of the key that signed the package, all of which was read; null where none did. Throws `BAD_SIGNATURE`
   * where the package has to be signed and was not, or was no RPM package at all.
   */
  signer(): string | null
}

/** A witness of one package from one mirror; `trust` is null where nobody's keys are there. */
export function packageWitness(file: PackageFile, url: string, trust: PackageTrust | null): PackageWitness {
  let signer: string | null = null
  let why = trust === null ? 'no keys' : 'a file that is no RPM package'
  const refuse = (): CrawlError =>
    new CrawlError(
      'BAD_SIGNATURE',
      `${url}: expected a package signed with a known key, got ${why}; for a mirror that somebody else signs: --keyring FILE`,
    )
  return {
    async judge(head) {
      if (trust === null) return null
      const judgement = await trust.judge(file, url, head)
      if (judgement.by !== null) return seen(judgement.proof, () => (signer = judgement.by))
      why = judgement.why
      // Said before it is read for nothing.
      if (file.mustBeSigned === true) throw refuse()
      return null
    },
    signer() {
      if (signer === null && file.mustBeSigned === true) throw refuse()
      return signer
    },
  }
}

/** A proof that tells when it has held, after whatever else the package says of its payload. */
function seen(proof: PayloadProof | null, onHeld: () => void): PayloadProof {
  return {
    update: (chunk) => proof?.update(chunk),
    verify() {
      proof?.verify()
      onHeld()
    },
  }
}
