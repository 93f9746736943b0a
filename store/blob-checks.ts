import { sha256Of, type Sha256 } from '../core/digest.ts'
import { StoreError } from './types.ts'

/** Throws `CORRUPT` where bytes are not what their digest says. */
export function checkDigest(digest: Sha256, bytes: Uint8Array): void {
  const actual = sha256Of(bytes)
  if (actual === digest) return
  throw new StoreError(
    'CORRUPT',
    `blob ${digest}: its ${bytes.byteLength} bytes have the digest ${actual} instead`,
  )
}

/** What every blob store says of a blob that it does not have. */
export function notFound(digest: Sha256): StoreError {
  return new StoreError('NOT_FOUND', `blob ${digest} is not in the store`)
}
