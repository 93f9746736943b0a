import { DigestTap } from '../../core/digest.ts'
import { CrawlError, type CrawlContext } from '../types.ts'
import { type FetchedDocument, fetchSigned, type SignedDocument } from '../signed-document.ts'
import type { Keyring } from '../openpgp/keyring.ts'
import type { Mirror } from './mirrors.ts'
import { checkRelease, parseRelease, type Release } from './release.ts'
import {
  clearsignedText,
  verifyClearsigned,
  verifyDetached,
  type VerifyOptions,
} from '../openpgp/signature.ts'
import { recallWitnessed, rememberWitnessed } from './witness.ts'

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
  const got = (await fetchInRelease(url, context)) ?? (await fetchDetached(url, context))
  if (got === null) return null
  const name = `${url}/${got.signature === null ? 'InRelease' : 'Release'}`
  const signed = query.keyring.keys.length > 0
  if (!signed) refuseUnknown(mirror, name)
  const options = { ...query, name }
  const text = signed ? await verified(got, options) : await unverified(got, name)
  const release = parseRelease(text)
  checkRelease(release, { ...query, checkValidUntil: mirror.checkValidUntil && !query.frozen })
  await got.remember()
  const strange = signed && got.signature === null && !got.recognisable
  const more = strange ? await rememberWitnessed(url, got.document, text, options, context) : 0
  return { release, url, bytes: got.bytes + more, signed }
}

async function fetchInRelease(url: string, context: CrawlContext): Promise<FetchedDocument | null> {
  const known = await recallWitnessed(url, context)
  if (known !== null)
    return { ...known, signature: null, recognisable: true, remember: () => Promise.resolve() }
  const place = { url: `${url}/InRelease`, signatureUrl: null, key: `apt-release/1 ${url}/InRelease` }
  return fetchSigned(place, context)
}

function fetchDetached(url: string, context: CrawlContext): Promise<FetchedDocument | null> {
  const place = {
    url: `${url}/Release`,
    signatureUrl: `${url}/Release.gpg`,
    key: `apt-release/1 ${url}/Release`,
  }
  return fetchSigned(place, context)
}

/** Without keys all that is left is who the connection is with. */
function refuseUnknown(mirror: Mirror, name: string): void {
  if (mirror.given || !mirror.base.startsWith('http:')) return
  throw new CrawlError(
    'BAD_SIGNATURE',
    `${name}: expected a key to hold its signature against, none is installed here, and http proves nothing`,
  )
}

function unverified(signed: SignedDocument, name: string): Promise<string> | string {
  return signed.signature === null
    ? clearsignedText(signed.document, name)
    : Buffer.from(signed.document).toString('utf8')
}

function verified(signed: SignedDocument, options: VerifyOptions): Promise<string> {
  return signed.signature === null
    ? verifyClearsigned(signed.document, options)
    : verifyDetached(signed.document, signed.signature, options)
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
