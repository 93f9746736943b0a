import type { PackageFile } from '../../core/kernel-package.ts'
import { limits } from '../../core/limits.ts'
import type { PayloadProof, SignedHead } from '../../core/package-proof.ts'
import { checkData, type DataCheck } from '../openpgp/data-check.ts'
import type { ListDeps } from '../deps.ts'
import type { Keyring } from '../openpgp/keyring.ts'
import { loadKeyring } from '../openpgp/load.ts'
import { type DataSignature, parseSignatures, UnusableSignature } from '../openpgp/signature-packet.ts'
import { signerOf } from '../openpgp/signer.ts'
import type { SourceFile } from '../schema.ts'
import { type CrawlContext, CrawlError, type PackageTrust } from '../types.ts'

/**
 * The keys by which a source's packages are signed, with those that the user named; null where there are none, for a
 * distribution that has no RPM packages too. Throws as `loadKeyring`.
 */
export async function loadPackageTrust(
  { packageKeys, indexes }: Pick<SourceFile, 'packageKeys' | 'indexes'>,
  context: CrawlContext,
  deps: ListDeps,
): Promise<PackageTrust | null> {
  if (!indexes.some(({ format }) => format === 'repomd' || format === 'autoindex')) return null
  const keyring = await loadKeyring(packageKeys ?? { system: [], shipped: [] }, context, deps)
  return keyring.keys.length === 0 ? null : createPackageTrust(keyring, deps.now)
}

/**
 * Tells of RPM packages whether they are signed with a key of a keyring, by RPM's rules (its manual, "RPM V4 package
 * format" and "RPM V6 package format"): a signature of the header counts where the header has a digest of the payload,
 * else one of both has to. As for archives, one good signature is enough and no bad one is allowed; those of unknown or
 * revoked keys, of keys that had expired by then, and by weak algorithms do not count.
 */
export function createPackageTrust(keyring: Keyring, now: () => Date): PackageTrust {
  return {
    async judge(file, url, head) {
      const what = `${url}: signature of the package`
      const ofHeader = await checksOf(head.ofHeader, keyring, now())
      const signer = ofHeader.usable[0]
      for (const { check, id } of ofHeader.usable) {
        check.update(head.header)
        if (!check.holds()) throw bad(`${what} by ${id}: its header is something else than was signed`)
      }
      if (signer !== undefined && head.vouchesForPayload) {
        checkIdentity(file, url, head)
        return { by: signer.fingerprint, proof: null }
      }
      const ofPackage = await checksOf(head.ofPackage, keyring, now())
      const [first] = ofPackage.usable
      if (first === undefined) return { by: null, why: whyNot(head, [...ofHeader.why, ...ofPackage.why]) }
      checkIdentity(file, url, head)
      const proof = proofOf(ofPackage.usable, what)
      proof.update(head.header)
      return { by: first.fingerprint, proof }
    },
  }
}

interface Check {
  readonly check: DataCheck
  readonly id: string
  readonly fingerprint: string
}

/** Checks for the signatures that count, and why others do not. */
async function checksOf(
  packets: readonly Uint8Array[],
  keyring: Keyring,
  now: Date,
): Promise<{ readonly usable: readonly Check[]; readonly why: readonly string[] }> {
  const usable: Check[] = []
  const why: string[] = []
  for (const signature of packets.flatMap(parseSignatures).slice(0, limits.package.maxSignatures)) {
    try {
      if (signature instanceof UnusableSignature) throw signature
      usable.push(await checkOf(signature, keyring, now))
    } catch (err) {
      if (!(err instanceof UnusableSignature)) throw err
      why.push(err.message)
    }
  }
  return { usable, why }
}

async function checkOf(signature: DataSignature, keyring: Keyring, now: Date): Promise<Check> {
  const id = `key ${signature.issuer}`
  const signer = await signerOf(signature, keyring, now)
  if (signer === null) throw new UnusableSignature(`${id}, which is not known`)
  return { check: checkData(signature, signer.key), id, fingerprint: signer.fingerprint }
}

function proofOf(checks: readonly Check[], what: string): PayloadProof {
  return {
    update(chunk) {
      for (const { check } of checks) check.update(chunk)
    },
    verify() {
      const broken = checks.find(({ check }) => !check.holds())
      if (broken !== undefined) throw bad(`${what} by ${broken.id}: it is something else than was signed`)
    },
  }
}

/** A signed package under another's name is well signed, and still not what was asked for. */
function checkIdentity(file: PackageFile, url: string, { name, version, release }: SignedHead): void {
  const got = `${name ?? ''} ${version ?? ''}-${release ?? ''}`
  const expected = `${file.name} ${file.version}`
  if (got !== expected) throw bad(`${url}: expected the package ${expected}, is ${got}, well signed`)
}

function whyNot(head: SignedHead, reasons: readonly string[]): string {
  if (head.ofHeader.length + head.ofPackage.length === 0) return 'no signature'
  return reasons.length > 0
    ? reasons.join('; ')
    : 'a signature of the header alone, which says nothing of the payload'
}

function bad(message: string): CrawlError {
  return new CrawlError('BAD_SIGNATURE', message)
}
