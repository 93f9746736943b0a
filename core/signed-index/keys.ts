import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { IndexError } from './errors.ts'

/** A public key as people pass it on: `ed25519:` and its 32 bytes (RFC 8032 5.1.5) in base64url. */
export type PublicKeyText = string & { readonly __brand: 'PublicKeyText' }

/** A key that can sign, with the public part by which others know it. */
export interface SigningKey {
  readonly publicKey: PublicKeyText
  readonly object: KeyObject
}

const PREFIX = 'ed25519:'

/** A public key from text; blanks around it are let be. Throws IndexError `BAD_KEY`. */
export function parsePublicKey(text: string): PublicKeyText {
  const key = text.trim()
  const raw = key.startsWith(PREFIX) ? Buffer.from(key.slice(PREFIX.length), 'base64url') : null
  // Base64 has bits that nothing reads: only one spelling of a key is that key.
  if (raw?.byteLength !== 32 || PREFIX + raw.toString('base64url') !== key) {
    const shown = JSON.stringify(key.slice(0, 80))
    throw new IndexError('BAD_KEY', `key ${shown}: expected ed25519: and 43 characters of base64url`)
  }
  return key as PublicKeyText
}

/** What node:crypto verifies with. Throws IndexError `BAD_KEY` for bytes that are no point of the curve. */
export function publicKeyObject(key: PublicKeyText): KeyObject {
  try {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: key.slice(PREFIX.length) }
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch (err) {
    throw new IndexError('BAD_KEY', `key ${key}: not an Ed25519 key`, { cause: err })
  }
}

/** A new key, as PKCS #8 in PEM: `openssl pkey` reads it. */
export function generateKeyPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

/** A key from PEM; `name` says where that is from. Throws IndexError `BAD_KEY`. */
export function parseSigningKey(name: string, pem: string): SigningKey {
  let object: KeyObject
  try {
    object = createPrivateKey(pem)
  } catch (err) {
    throw new IndexError('BAD_KEY', `${name}: not a private key in PEM`, { cause: err })
  }
  if (object.asymmetricKeyType !== 'ed25519') {
    throw new IndexError('BAD_KEY', `${name}: expected an Ed25519 key, got ${object.asymmetricKeyType}`)
  }
  const { x } = createPublicKey(object).export({ format: 'jwk' })
  return { publicKey: parsePublicKey(PREFIX + x), object }
}
