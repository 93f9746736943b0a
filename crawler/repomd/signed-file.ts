import { sha256Of } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { verifyDetached } from '../openpgp/signature.ts'
import type { RpmUnit } from '../rpm/units.ts'
import { CrawlError, type CrawlContext, type IndexMemo } from '../types.ts'
import type { RepomdTrust } from './index-file.ts'

interface Signed {
  readonly document: Uint8Array
  readonly signature: Uint8Array | null
}

/**
 * A `repomd.xml`, conditionally where it is remembered, its signature (`repomd.xml.asc`) checked where there are keys.
 * What is remembered are documents, never trust. Null where the mirror has none. Throws `BAD_SIGNATURE`, and what
 * `http` throws.
 */
export async function fetchRepomd(
  url: string,
  trust: RepomdTrust,
  unit: RpmUnit,
  context: CrawlContext,
): Promise<Uint8Array | null> {
  const signed = await fetchSigned(url, trust.keyring !== null, unit, context)
  if (signed === null || trust.keyring === null) return signed?.document ?? null
  if (signed.signature === null) {
    throw new CrawlError('BAD_SIGNATURE', `${url}: expected a signature beside it, ${url}.asc is not there`)
  }
  const options = { keyring: trust.keyring, now: trust.now, frozen: unit.frozen, name: url }
  await verifyDetached(signed.document, signed.signature, options)
  return signed.document
}

async function fetchSigned(
  url: string,
  withSignature: boolean,
  unit: RpmUnit,
  context: CrawlContext,
): Promise<Signed | null> {
  const { http, cache, signal } = context
  const key = `repomd/1 ${withSignature ? 'signed' : 'plain'} ${url}`
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
    return remembered
  }
  unit.bytes += document.bytes.byteLength
  const signature = withSignature ? await fetchSignature(`${url}.asc`, unit, context) : null
  const signed = { document: document.bytes, signature }
  if (document.etag !== null || document.lastModified !== null) {
    const { etag, lastModified } = document
    const value = JSON.stringify([toText(signed.document), signature === null ? null : toText(signature)])
    await cache.put(key, { etag, lastModified, sha256: sha256Of(signed.document), value })
  }
  return signed
}

async function fetchSignature(url: string, unit: RpmUnit, context: CrawlContext): Promise<Uint8Array | null> {
  const request = { signal: context.signal, maxBytes: limits.index.maxKeyringBytes }
  const document = await context.http.document(url, request)
  if (document === null || document === 'not-modified') return null
  unit.bytes += document.bytes.byteLength
  return document.bytes
}

function recall(memo: IndexMemo): Signed | null {
  let value: unknown
  try {
    value = JSON.parse(memo.value)
  } catch {
    return null
  }
  if (!Array.isArray(value) || typeof value[0] !== 'string') return null
  const document = Buffer.from(value[0], 'latin1')
  if (sha256Of(document) !== memo.sha256) return null
  return { document, signature: typeof value[1] === 'string' ? Buffer.from(value[1], 'latin1') : null }
}

/** Bytes as text that keeps every one of them. */
function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}
