import { sign, verify } from 'node:crypto'
import { IndexError } from './errors.ts'
import { parsePublicKey, publicKeyObject, type PublicKeyText, type SigningKey } from './keys.ts'

/**
 * A signed text: `{"payload":"…","signatures":[{"key":"ed25519:…","signature":"BASE64"}]}` and a newline. What is signed
 * is the payload's bytes as they are, behind a line that no other use of the key has, so that nothing has to be parsed or
 * brought into a canonical form before it is verified (the idea is DSSE's, https://github.com/secure-systems-lab/dsse).
 * One file, so that nobody reads a new payload with an old signature.
 */
export interface Opened {
  readonly payload: string
  /** Keys whose signatures are there and right, in the order of the text. Never empty. */
  readonly signedBy: readonly PublicKeyText[]
}

/** More signatures than a rotation of keys needs. */
const MAX_SIGNATURES = 16
const SIGNATURE = /^[A-Za-z0-9+/]{86}==$/

/** Signs with each key. The same payload and keys give the same bytes (RFC 8032: Ed25519 is deterministic). */
export function seal(payload: string, keys: readonly SigningKey[]): string {
  const signatures = keys.map(({ publicKey, object }) => ({
    key: publicKey,
    signature: sign(null, signedBytes(payload), object).toString('base64'),
  }))
  return format(payload, signatures)
}

/**
 * Reads a signed text and verifies every signature, whoever made it: then no byte of it can have changed since. Whether
 * one of the keys is to be trusted is told by {@link requireTrusted}. Throws IndexError `BAD_INDEX`, `BAD_SIGNATURE`.
 */
export function open(text: string): Opened {
  const { payload, signatures } = parse(text)
  const signedBy = signatures.map(({ key, signature }) => {
    const publicKey = parsePublicKey(key)
    if (!verify(null, signedBytes(payload), publicKeyObject(publicKey), Buffer.from(signature, 'base64'))) {
      throw new IndexError('BAD_SIGNATURE', `the signature of ${publicKey} does not fit what is signed`)
    }
    return publicKey
  })
  return { payload, signedBy }
}

/** The first trusted key that signed. Throws IndexError `BAD_SIGNATURE` where none did. */
export function requireTrusted(opened: Opened, trusted: readonly PublicKeyText[]): PublicKeyText {
  const key = opened.signedBy.find((each) => trusted.includes(each))
  if (key !== undefined) return key
  throw new IndexError(
    'BAD_SIGNATURE',
    `signed by ${opened.signedBy.join(' ')}, expected one of ${trusted.join(' ')}`,
  )
}

interface Signature {
  readonly key: string
  readonly signature: string
}

function signedBytes(payload: string): Uint8Array {
  return Buffer.from(`btfhub signed index 1\n${payload}`)
}

function format(payload: string, signatures: readonly Signature[]): string {
  return `${JSON.stringify({ payload, signatures })}\n`
}

function parse(text: string): { readonly payload: string; readonly signatures: readonly Signature[] } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (err) {
    throw new IndexError('BAD_INDEX', 'the signed index is no JSON', { cause: err })
  }
  const { payload, signatures } = (value ?? {}) as { payload?: unknown; signatures?: unknown }
  if (typeof payload !== 'string' || !Array.isArray(signatures)) {
    throw new IndexError('BAD_INDEX', 'the signed index lacks its payload or signatures')
  }
  if (signatures.length === 0 || signatures.length > MAX_SIGNATURES) {
    throw new IndexError('BAD_INDEX', `${signatures.length} signatures, expected 1 to ${MAX_SIGNATURES}`)
  }
  const read = signatures.map(toSignature)
  // What JSON and base64 let vary is no part of what was signed; only one spelling is taken.
  if (format(payload, read) !== text) {
    throw new IndexError('BAD_INDEX', 'the signed index has more in it than is signed')
  }
  return { payload, signatures: read }
}

function toSignature(value: unknown): Signature {
  const { key, signature } = (value ?? {}) as { key?: unknown; signature?: unknown }
  const isOne = typeof key === 'string' && typeof signature === 'string' && SIGNATURE.test(signature)
  if (!isOne || Buffer.from(signature, 'base64').toString('base64') !== signature) {
    throw new IndexError('BAD_INDEX', 'a signature is none of Ed25519')
  }
  return { key, signature }
}
