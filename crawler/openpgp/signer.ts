import type { PublicKey, Subkey } from 'openpgp'
import type { KeyMaterial } from './data-check.ts'
import type { Keyring } from './keyring.ts'
import { type DataSignature, UnusableSignature } from './signature-packet.ts'

/** The key that made a signature, and by which key of a keyring it is believed. */
export interface Signer {
  readonly key: KeyMaterial
  /** Upper-case hex, of the primary key. */
  readonly fingerprint: string
}

/** Clocks of build systems are a little ahead at times. */
const AHEAD_MS = 24 * 3600_000

/**
 * The key of a keyring that a signature names. Packages are signed once and for all: it has to have been valid when it
 * signed, not now, and never revoked. Null where the keyring has no such key. Throws {@link UnusableSignature} where it
 * does not count.
 */
export async function signerOf(
  signature: DataSignature,
  { keys }: Keyring,
  now: Date,
): Promise<Signer | null> {
  const id = `key ${signature.issuer}`
  const known = keys.flatMap((key) => {
    const part = key.getKeys().find((one) => one.getKeyID().toHex().toUpperCase() === signature.issuer)
    return part === undefined ? [] : [{ key, part }]
  })
  checkTimes(id, signature, now)
  for (const { key } of known) {
    if (await key.isRevoked(undefined, undefined, now)) throw new UnusableSignature(`${id}, which is revoked`)
  }
  let refusal: UnusableSignature | null = null
  // A keyring can have a key twice, once with an expiry that was put off since.
  for (const { key, part } of known) {
    try {
      if (signature.created < part.getCreationTime()) {
        throw new UnusableSignature(`${id}: a signature older than its key`)
      }
      await checkExpiry(id, key, signature.created)
      if (part !== key) await checkSubkey(id, key, part, now)
      const { algorithm, publicParams } = part.keyPacket
      const { curve } = part.getAlgorithmInfo()
      return { key: { algorithm, publicParams, curve }, fingerprint: key.getFingerprint().toUpperCase() }
    } catch (err) {
      if (!(err instanceof UnusableSignature)) throw err
      refusal ??= err
    }
  }
  if (refusal !== null) throw refusal
  return null
}

function checkTimes(id: string, { created, expires }: DataSignature, now: Date): void {
  if (created.getTime() > now.getTime() + AHEAD_MS) {
    throw new UnusableSignature(`${id}: a signature of ${created.toISOString()}, which is to come`)
  }
  if (expires !== null && expires <= now) {
    throw new UnusableSignature(`${id}: a signature that expired on ${expires.toISOString()}`)
  }
}

async function checkExpiry(id: string, key: PublicKey, created: Date): Promise<void> {
  const end = await key.getExpirationTime()
  if (end === null) throw new UnusableSignature(`${id}, which its owner has not signed`)
  if (end instanceof Date && end <= created) {
    throw new UnusableSignature(`${id}, which had expired on ${end.toISOString()}, before it signed`)
  }
}

/** A subkey signs for its key only while that says so; distributions sign packages with the key itself. */
async function checkSubkey(id: string, key: PublicKey, part: PublicKey | Subkey, now: Date): Promise<void> {
  try {
    await key.getSigningKey(part.getKeyID(), now)
  } catch (err) {
    throw new UnusableSignature(`${id}, a subkey that may not sign`, { cause: err })
  }
}
