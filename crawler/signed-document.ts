import { sha256Of } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { CrawlError, type CrawlContext, type IndexMemo } from './types.ts'

/** A document and its detached signature; null where it is signed inside, or nobody's keys are there to ask for it. */
export interface SignedDocument {
  readonly document: Uint8Array
  readonly signature: Uint8Array | null
}

export interface FetchedDocument extends SignedDocument {
  /** Bytes that came over the wire. */
  readonly bytes: number
  /** False where the mirror says nothing to recognise the document by next time. */
  readonly recognisable: boolean
  /** For the next time; to be called when the document was believed: half of one would be called unchanged for ever. */
  remember(): Promise<void>
}

export interface SignedPlace {
  readonly url: string
  /** Null where it is not wanted. */
  readonly signatureUrl: string | null
  /** True where a document without a signature is one too. */
  readonly optional?: boolean
  /** Under which it is remembered. */
  readonly key: string
}

/**
 * A document with its signature, conditionally where it is remembered; null where the mirror has none. What is
 * remembered are documents, never trust: the caller checks the signature every time. Throws `BAD_SIGNATURE` where there
 * is a document without the signature, and what `http` throws.
 */
export async function fetchSigned(
  place: SignedPlace,
  context: CrawlContext,
): Promise<FetchedDocument | null> {
  const { http, cache, signal } = context
  const { url, key } = place
  const memo = await cache.get(key)
  const remembered = memo === null ? null : recall(memo)
  const answer = await http.document(url, {
    signal,
    maxBytes: limits.index.maxReleaseBytes,
    ...(memo === null || remembered === null
      ? {}
      : { validators: { etag: memo.etag, lastModified: memo.lastModified } }),
  })
  if (answer === null) return null
  if (answer === 'not-modified') {
    if (remembered === null) throw new CrawlError('ILL', `${url}: not modified since nothing was asked`)
    return { ...remembered, bytes: 0, recognisable: true, remember: () => Promise.resolve() }
  }
  const document = answer.bytes
  const signature = await fetchSignature(place, context)
  const { etag, lastModified } = answer
  const recognisable = etag !== null || lastModified !== null
  const remember = async (): Promise<void> => {
    if (!recognisable) return
    const value = JSON.stringify([toText(document), signature === null ? null : toText(signature)])
    await cache.put(key, { etag, lastModified, sha256: sha256Of(document), value })
  }
  const bytes = document.byteLength + (signature?.byteLength ?? 0)
  return { document, signature, recognisable, bytes, remember }
}

async function fetchSignature(place: SignedPlace, context: CrawlContext): Promise<Uint8Array | null> {
  const { url: of, signatureUrl: url, optional } = place
  if (url === null) return null
  const request = { signal: context.signal, maxBytes: limits.index.maxKeyringBytes }
  const signature = await context.http.document(url, request)
  if (signature === 'not-modified')
    throw new CrawlError('ILL', `${url}: not modified since nothing was asked`)
  if (signature !== null) return signature.bytes
  if (optional === true) return null
  throw new CrawlError('BAD_SIGNATURE', `${of}: expected a signature beside it, ${url} is not there`)
}

/** Null where what was remembered is not what it was. */
function recall(memo: IndexMemo): SignedDocument | null {
  let value: unknown
  try {
    value = JSON.parse(memo.value)
  } catch {
    return null
  }
  if (!Array.isArray(value)) return null
  const [document, signature] = value as unknown[]
  if (typeof document !== 'string' || !(typeof signature === 'string' || signature === null)) return null
  const bytes = Buffer.from(document, 'latin1')
  if (sha256Of(bytes) !== memo.sha256) return null
  return { document: bytes, signature: signature === null ? null : Buffer.from(signature, 'latin1') }
}

/** Bytes as text that keeps every one of them. */
function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}
