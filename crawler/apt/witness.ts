import { sha256Of } from '../../core/digest.ts'
import { describeError } from '../../core/errors.ts'
import { HttpError } from '../../core/http.ts'
import { limits } from '../../core/limits.ts'
import { verifyDetached, type VerifyOptions } from '../openpgp/signature.ts'
import { CrawlError, type CrawlContext } from '../types.ts'

/**
 * Some mirrors say neither `ETag` nor `Last-Modified`. There `Release.gpg` tells whether `InRelease` is what it was: both
 * sign one text, and a signature of some 2 KB holds for no other text than its own. So while the mirror's `Release.gpg` is
 * the one that was seen to hold for the text of the `InRelease` that is remembered, that is what the suite still says.
 */

const keyOf = (suiteUrl: string): string => `apt-witness/1 ${suiteUrl}`

/** The `InRelease` that is remembered, where `Release.gpg` is still its; null where that is not known. */
export async function recallWitnessed(
  suiteUrl: string,
  context: CrawlContext,
): Promise<{ readonly document: Uint8Array; readonly bytes: number } | null> {
  const memo = await context.cache.get(keyOf(suiteUrl))
  if (memo === null) return null
  const document = recall(memo.value)
  const signature = document === null ? null : await fetchSignature(suiteUrl, context)
  if (document === null || signature === null || sha256Of(signature) !== memo.sha256) return null
  return { document, bytes: signature.byteLength }
}

/** Remembers an `InRelease` with the `Release.gpg` that holds for its text; nothing where none does. Gives its size. */
export async function rememberWitnessed(
  suiteUrl: string,
  document: Uint8Array,
  text: string,
  options: VerifyOptions,
  context: CrawlContext,
): Promise<number> {
  try {
    const signature = await fetchSignature(suiteUrl, context)
    if (signature === null) return 0
    // Inside a clear-signed document the last line break belongs to the frame (RFC 9580 7.1).
    await verifyDetached(Buffer.from(`${text}\n`), signature, options)
    const value = `${sha256Of(document)}\n${Buffer.from(document).toString('latin1')}`
    const memo = { etag: null, lastModified: null, sha256: sha256Of(signature), value }
    await context.cache.put(keyOf(suiteUrl), memo)
    return signature.byteLength
  } catch (err) {
    context.signal.throwIfAborted()
    if (!(err instanceof CrawlError || err instanceof HttpError)) throw err
    context.log.debug({ suiteUrl, reason: describeError(err) }, 'nothing to recognise InRelease by')
    return 0
  }
}

/** Null where what was remembered is not what it was. */
function recall(value: string): Uint8Array | null {
  const [digest = ''] = value.split('\n', 1)
  const document = Buffer.from(value.slice(digest.length + 1), 'latin1')
  return sha256Of(document) === digest ? document : null
}

async function fetchSignature(suiteUrl: string, context: CrawlContext): Promise<Uint8Array | null> {
  const request = { signal: context.signal, maxBytes: limits.index.maxKeyringBytes }
  const answer = await context.http.document(`${suiteUrl}/Release.gpg`, request)
  return answer === null || answer === 'not-modified' ? null : answer.bytes
}
