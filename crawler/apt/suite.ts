import { DigestTap, sha256Of } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { CrawlError, type CrawlContext, type IndexMemo } from '../types.ts'
import type { Keyring } from '../openpgp/keyring.ts'
import type { Mirror } from './mirrors.ts'
import { checkRelease, parseRelease, type Release } from './release.ts'
import {
  clearsignedText,
  verifyClearsigned,
  verifyDetached,
  type VerifyOptions,
} from '../openpgp/signature.ts'

/** What is asked of a mirror. */
export interface SuiteQuery {
  readonly suite: string
  readonly origins: readonly string[]
  readonly frozen: boolean
  readonly keyring: Keyring
  readonly now: Date
}

/** A suite's Release file, its signature checked, and what it cost. */
export interface FoundRelease {
  readonly release: Release
  /** `http://host/debian/dists/bookworm`. */
  readonly url: string
  readonly bytes: number
  /** False where nobody's keys are known here. */
  readonly signed: boolean
}

/** A document and its detached signature, or a clear-signed document alone. */
interface Signed {
  readonly document: Uint8Array
  readonly signature: Uint8Array | null
}

/**
 * A suite's `InRelease`, else its `Release` with `Release.gpg`; null where the mirror has neither. What is remembered
 * of earlier runs are documents, never trust: the signature is checked every time. Throws {@link CrawlError} where it
 * is not this suite's or not signed as it should be, and what `http` throws.
 */
export async function fetchRelease(
  mirror: Mirror,
  query: SuiteQuery,
  context: CrawlContext,
): Promise<FoundRelease | null> {
  const url = `${mirror.base}/dists/${query.suite}`
  const inline = await fetchSigned(`${url}/InRelease`, false, context)
  const got = inline ?? (await fetchSigned(`${url}/Release`, true, context))
  if (got === null) return null
  const name = `${url}/${inline === null ? 'Release' : 'InRelease'}`
  const signed = query.keyring.keys.length > 0
  if (!signed) refuseUnknown(mirror, name)
  const text = signed ? await verified(got.signed, { ...query, name }) : await unverified(got.signed, name)
  const release = parseRelease(text)
  checkRelease(release, { ...query, checkValidUntil: mirror.checkValidUntil && !query.frozen })
  return { release, url, bytes: got.bytes, signed }
}

/** Without keys all that is left is who the connection is with. */
function refuseUnknown(mirror: Mirror, name: string): void {
  if (mirror.given || !mirror.base.startsWith('http:')) return
  throw new CrawlError(
    'BAD_SIGNATURE',
    `${name}: expected a key to hold its signature against, none is installed here, and http proves nothing`,
  )
}

function unverified(signed: Signed, name: string): Promise<string> | string {
  return signed.signature === null
    ? clearsignedText(signed.document, name)
    : Buffer.from(signed.document).toString('utf8')
}

function verified(signed: Signed, options: VerifyOptions): Promise<string> {
  return signed.signature === null
    ? verifyClearsigned(signed.document, options)
    : verifyDetached(signed.document, signed.signature, options)
}

/** A signed document, conditionally where it is remembered; null where there is none. */
async function fetchSigned(
  url: string,
  detached: boolean,
  context: CrawlContext,
): Promise<{ signed: Signed; bytes: number } | null> {
  const { http, cache, signal } = context
  const key = `apt-release/1 ${url}`
  const memo = await cache.get(key)
  const remembered = memo === null ? null : recall(memo)
  const document = await http.document(url, {
    signal,
    maxBytes: limits.index.maxReleaseBytes,
    ...(memo === null || remembered === null
      ? {}
      : { validators: { etag: memo.etag, lastModified: memo.lastModified } }),
  })
  if (document === null) return null
  if (document === 'not-modified') {
    if (remembered === null) throw new CrawlError('ILL', `${url}: not modified since nothing was asked`)
    return { signed: remembered, bytes: 0 }
  }
  const signature = detached ? await fetchSignature(`${url}.gpg`, context) : null
  const signed = { document: document.bytes, signature }
  if (document.etag !== null || document.lastModified !== null) {
    const value = JSON.stringify([toText(signed.document), signature === null ? null : toText(signature)])
    const { etag, lastModified } = document
    await cache.put(key, { etag, lastModified, sha256: sha256Of(signed.document), value })
  }
  return { signed, bytes: document.bytes.byteLength + (signature?.byteLength ?? 0) }
}

async function fetchSignature(url: string, context: CrawlContext): Promise<Uint8Array> {
  const { http, signal } = context
  const signature = await http.document(url, { signal, maxBytes: limits.index.maxKeyringBytes })
  if (signature === null)
    throw new CrawlError('BAD_SIGNATURE', `${url}: Release is there, its signature is not`)
  if (signature === 'not-modified')
    throw new CrawlError('ILL', `${url}: not modified since nothing was asked`)
  return signature.bytes
}

/** Null where what was remembered is not what it was. */
function recall(memo: IndexMemo): Signed | null {
  let value: unknown
  try {
    value = JSON.parse(memo.value)
  } catch {
    return null
  }
  if (!Array.isArray(value) || value.length !== 2) return null
  const [document, signature] = value as [unknown, unknown]
  if (typeof document !== 'string' || !(typeof signature === 'string' || signature === null)) return null
  const bytes = Buffer.from(document, 'latin1')
  if (sha256Of(bytes) !== memo.sha256) return null
  return { document: bytes, signature: signature === null ? null : Buffer.from(signature, 'latin1') }
}

/** Any bytes as text and back without loss. */
function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

/** A file that a Release vouches for, whole and checked against it. Throws `BAD_DIGEST`; null where it is not there. */
export async function fetchChecked(
  url: string,
  expected: { readonly sha256: string; readonly sizeBytes: number },
  context: CrawlContext,
): Promise<Uint8Array | null> {
  const { http, signal } = context
  const stream = await http.stream(url, { signal, maxBytes: expected.sizeBytes })
  if (stream === null) return null
  const chunks: Uint8Array[] = []
  const tap = new DigestTap()
  for await (const chunk of stream.bytes) {
    tap.update(chunk)
    chunks.push(chunk)
  }
  const got = { sizeBytes: tap.sizeBytes, sha256: tap.digest() }
  if (got.sizeBytes !== expected.sizeBytes || got.sha256 !== expected.sha256) {
    throw new CrawlError(
      'BAD_DIGEST',
      `${url}: Release says ${expected.sizeBytes} bytes with sha256 ${expected.sha256}, got ${got.sizeBytes} with ${got.sha256}`,
    )
  }
  return Buffer.concat(chunks)
}
