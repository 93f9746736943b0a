import {
  createHash,
  createPublicKey,
  createVerify,
  type JsonWebKey,
  type KeyObject,
  verify,
} from 'node:crypto'
import { enums } from 'openpgp'
import { type DataSignature, UnusableSignature } from './signature-packet.ts'

/** A public key's numbers, as its packet has them. */
export interface KeyMaterial {
  readonly algorithm: number
  readonly publicParams: object
  /** `nistP256`, of elliptic curves. */
  readonly curve: string | undefined
}

/** Hashes a document as it comes, and tells in the end whether a signature is of it. */
export interface DataCheck {
  update(chunk: Uint8Array): void
  /** Once, after the last byte. */
  holds(): boolean
}

/** Those that are not broken: what is signed by another counts as not signed. */
const HASHES: Readonly<Record<number, string>> = { 8: 'sha256', 9: 'sha384', 10: 'sha512' }
const LEAST_RSA_BYTES = 2048 / 8
const CURVES: Readonly<Record<string, readonly [name: string, bytes: number]>> = {
  nistP256: ['P-256', 32],
  nistP384: ['P-384', 48],
  nistP521: ['P-521', 66],
}
const ED25519_BYTES = 32

/**
 * Checks a document of any length against a signature by a key. openpgp.js reads no signatures of version 3 and wants all
 * of a document at once, so that only keys are its part here. Throws {@link UnusableSignature} for algorithms that are weak or not known.
 */
export function checkData(signature: DataSignature, key: KeyMaterial): DataCheck {
  const hash = HASHES[signature.hashAlgorithm]
  if (hash === undefined) {
    throw new UnusableSignature(`hash algorithm ${signature.hashAlgorithm}, which is weak or not known`)
  }
  if (signature.publicKeyAlgorithm !== key.algorithm) {
    throw new UnusableSignature('a signature by another algorithm than its key is for')
  }
  switch (key.algorithm) {
    case enums.publicKey.rsaEncryptSign as number:
    case enums.publicKey.rsaSign as number:
      return rsaCheck(hash, signature, key)
    case enums.publicKey.ecdsa as number:
      return ecdsaCheck(hash, signature, key)
    case enums.publicKey.eddsaLegacy as number:
    case enums.publicKey.ed25519 as number:
      return edCheck(hash, signature, key)
    default:
      throw new UnusableSignature(`key algorithm ${key.algorithm}, which is weak or not known`)
  }
}

function rsaCheck(hash: string, signature: DataSignature, key: KeyMaterial): DataCheck {
  const [n, e] = [paramOf(key, 'n'), paramOf(key, 'e')]
  if (n.byteLength < LEAST_RSA_BYTES) throw new UnusableSignature(`an RSA key of ${n.byteLength * 8} bits`)
  const value = joined(signature, 1, n.byteLength)
  return streamed(hash, signature, publicKey({ kty: 'RSA', n: text(n), e: text(e) }), value)
}

function ecdsaCheck(hash: string, signature: DataSignature, key: KeyMaterial): DataCheck {
  const [crv, bytes] = CURVES[key.curve ?? ''] ?? []
  if (crv === undefined || bytes === undefined) throw new UnusableSignature(`the curve ${key.curve ?? ''}`)
  // An uncompressed point: 4, x, y (RFC 9580 11.2.1).
  const point = paramOf(key, 'Q')
  const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)]
  return streamed(
    hash,
    signature,
    publicKey({ kty: 'EC', crv, x: text(x), y: text(y) }),
    joined(signature, 2, bytes),
  )
}

function streamed(hash: string, { trailer }: DataSignature, key: KeyObject, value: Buffer): DataCheck {
  const verifier = createVerify(hash)
  return {
    update: (chunk) => void verifier.update(chunk),
    holds: () => verifier.update(trailer).verify({ key, dsaEncoding: 'ieee-p1363' }, value),
  }
}

/** EdDSA signs the digest (RFC 9580 5.2.4). */
function edCheck(name: string, signature: DataSignature, key: KeyMaterial): DataCheck {
  const isLegacy = key.algorithm === (enums.publicKey.eddsaLegacy as number)
  // In front of a point in its native form is 0x40.
  const point = isLegacy ? paramOf(key, 'Q').subarray(1) : paramOf(key, 'A')
  if (point.byteLength !== ED25519_BYTES) throw new UnusableSignature(`the curve ${key.curve ?? ''}`)
  const value = isLegacy ? joined(signature, 2, ED25519_BYTES) : joined(signature, 1, 2 * ED25519_BYTES)
  const publicPart = publicKey({ kty: 'OKP', crv: 'Ed25519', x: text(point) })
  const hash = createHash(name)
  return {
    update: (chunk) => void hash.update(chunk),
    holds: () => verify(null, hash.update(signature.trailer).digest(), publicPart, value),
  }
}

/** A signature's numbers, each of so many bytes. */
function joined({ numbers }: DataSignature, count: number, bytes: number): Buffer {
  if (numbers.length !== count || numbers.some(({ byteLength }) => byteLength > bytes)) {
    throw new UnusableSignature('a signature whose numbers are not those of its key')
  }
  const whole = Buffer.alloc(count * bytes)
  numbers.forEach((number, i) => whole.set(number, (i + 1) * bytes - number.byteLength))
  return whole
}

function publicKey(key: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key, format: 'jwk' })
  } catch (err) {
    throw new UnusableSignature('a key that is none', { cause: err })
  }
}

function paramOf({ publicParams }: KeyMaterial, name: string): Uint8Array {
  const value: unknown = Object.entries(publicParams).find(([key]) => key === name)?.[1]
  if (value instanceof Uint8Array) return value
  throw new UnusableSignature(`a key without its ${name}`)
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
