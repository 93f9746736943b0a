import { createMessage, type PublicKey, readCleartextMessage, readSignature, verify } from 'openpgp'
import { describeError } from '../../core/errors.ts'
import { CrawlError } from '../types.ts'
import type { Keyring } from './keyring.ts'

export interface VerifyOptions {
  readonly keyring: Keyring
  readonly now: Date
  /** True accepts keys that have expired since they signed: an archive that does not change is not signed again. */
  readonly frozen: boolean
  /** For messages. */
  readonly name: string
}

type VerificationResult = Awaited<ReturnType<typeof verify>>['signatures'][number]
type Opinion = 'good' | 'bad' | 'useless'

/**
 * The text inside the signed part of an `InRelease` file, and nothing else of it. As apt does: at least one good
 * signature of a known key, and no bad one; signatures of unknown or expired keys and by weak algorithms do not count.
 * Throws `BAD_SIGNATURE`.
 */
export async function verifyClearsigned(document: Uint8Array, options: VerifyOptions): Promise<string> {
  const text = Buffer.from(document).toString('utf8')
  refuseFrame(text, options.name)
  const message = await parsed(options.name, () => readCleartextMessage({ cleartextMessage: text }))
  const result = await parsed(options.name, () =>
    verify({ message, verificationKeys: [...options.keyring.keys], date: options.now }),
  )
  await judge(result.signatures, options)
  return result.data
}

/**
 * The text inside a clear-signed document, by whomever: for archives whose keys are not known. Throws `BAD_SIGNATURE`
 * where it is no such document.
 */
export async function clearsignedText(document: Uint8Array, name: string): Promise<string> {
  const text = Buffer.from(document).toString('utf8')
  refuseFrame(text, name)
  return (await parsed(name, () => readCleartextMessage({ cleartextMessage: text }))).getText()
}

/** A `Release` file whose detached signature `Release.gpg` holds, by the same rules. Throws `BAD_SIGNATURE`. */
export async function verifyDetached(
  document: Uint8Array,
  signature: Uint8Array,
  options: VerifyOptions,
): Promise<string> {
  const armored = Buffer.from(signature).toString('latin1')
  const result = await parsed(options.name, async () =>
    verify({
      message: await createMessage({ binary: document }),
      signature: armored.includes('-----BEGIN PGP SIGNATURE-----')
        ? await readSignature({ armoredSignature: armored })
        : await readSignature({ binarySignature: signature }),
      verificationKeys: [...options.keyring.keys],
      date: options.now,
      format: 'binary',
    }),
  )
  await judge(result.signatures, options)
  return Buffer.from(document).toString('utf8')
}

/** Only what is signed counts; so there must be nothing else for a reader to fall for. */
function refuseFrame(text: string, name: string): void {
  const whole = /^-----BEGIN PGP SIGNED MESSAGE-----\r?\n[^]*\n-----END PGP SIGNATURE-----\s*$/.test(text)
  const parts = text.match(/^-----(?:BEGIN|END) PGP [A-Z ]+-----/gm)?.length
  if (whole && parts === 3) return
  throw new CrawlError('BAD_SIGNATURE', `${name}: expected one clear-signed message and nothing around it`)
}

async function parsed<T>(name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (err) {
    throw new CrawlError('BAD_SIGNATURE', `${name}: ${describeError(err)}`, { cause: err })
  }
}

async function judge(signatures: readonly VerificationResult[], options: VerifyOptions): Promise<void> {
  const all = await Promise.all(signatures.map((signature) => opinionOf(signature, options)))
  if (all.some(({ opinion }) => opinion === 'good') && !all.some(({ opinion }) => opinion === 'bad')) return
  const reasons = all.filter(({ opinion }) => opinion !== 'good').map(({ why }) => why)
  const got = reasons.length === 0 ? 'no signature' : reasons.join('; ')
  throw new CrawlError(
    'BAD_SIGNATURE',
    `${options.name}: expected a good signature of a known key, got ${got}`,
  )
}

async function opinionOf(
  result: VerificationResult,
  options: VerifyOptions,
): Promise<{ opinion: Opinion; why: string }> {
  const id = result.keyID.toHex().toUpperCase()
  const key = options.keyring.keys.find((candidate) => candidate.getKeys(result.keyID).length > 0)
  const failure = await result.verified.then(
    () => null,
    (err: unknown) => describeError(err),
  )
  if (key === undefined) return { opinion: 'useless', why: `key ${id}, which is not known` }
  const lapsed = await lapse(key, result, options)
  if (lapsed !== null) return { opinion: 'useless', why: `key ${id}, which ${lapsed}` }
  if (failure === null) return { opinion: 'good', why: '' }
  const weak = /insecure|too weak/i.test(failure)
  return { opinion: weak ? 'useless' : 'bad', why: `key ${id}: ${failure}` }
}

/** Why a key does not count any more; null where it does. */
async function lapse(
  key: PublicKey,
  result: VerificationResult,
  options: VerifyOptions,
): Promise<string | null> {
  if (await key.isRevoked(undefined, undefined, options.now)) return 'is revoked'
  if (options.frozen) return null
  const times = await Promise.all(key.getKeys(result.keyID).map((part) => part.getExpirationTime()))
  const ends = [await key.getExpirationTime(), ...times].filter((at) => at instanceof Date)
  const end = ends.find((at) => at <= options.now)
  return end === undefined ? null : `expired on ${end.toISOString()}`
}
