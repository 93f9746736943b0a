import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { HttpError, type Validators } from './http.ts'
import { tooLarge } from './http-body.ts'
import type { Answer } from './http-exchange.ts'

const gunzipAsync = promisify(gunzip)

/** `answer`: it says something. `again`: another try may. `forbidden`: nobody is to ask there any more. */
export type Verdict = 'answer' | 'absent' | 'again' | 'forbidden' | 'refused'

/** What a status means for the one who asked. */
export function judge(answer: Answer): Verdict {
  const { status } = answer
  if (status === 200 || status === 206 || status === 304 || status === 416) return 'answer'
  // That another host than the one we asked has not got it says little about the one we asked: it may send the next
  // request elsewhere.
  if (status === 404 || status === 410) return answer.elsewhere ? 'again' : 'absent'
  if (status === 403) return 'forbidden'
  if (status === 408 || status === 425 || status === 429 || status >= 500) return 'again'
  return 'refused'
}

/** A request for what has changed since (RFC 9110 13.1); nothing where nothing is known. */
export function conditionHeaders(validators: Validators | undefined): Record<string, string> {
  const { etag = null, lastModified = null } = validators ?? {}
  return {
    ...(etag === null ? {} : { 'if-none-match': etag }),
    ...(lastModified === null ? {} : { 'if-modified-since': lastModified }),
  }
}

/** What the document can be recognised by next time. */
export function validatorsOf(answer: Answer): Validators {
  return { etag: answer.header('etag'), lastModified: answer.header('last-modified') }
}

/** `Content-Length` in bytes; null where it is missing or no number. */
export function contentLength(answer: Answer): number | null {
  const text = answer.header('content-length')
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null
}

/** The answer, if it is a whole body that may fit. Throws `TOO_LARGE` or `ILL`. */
export async function whole(url: string, answer: Answer, maxBytes: number): Promise<Answer> {
  const sizeBytes = contentLength(answer)
  if (answer.status === 200 && (sizeBytes === null || sizeBytes <= maxBytes)) return answer
  await answer.drain()
  if (answer.status === 200) throw tooLarge(url, maxBytes)
  throw new HttpError('ILL', `GET ${url}: answered ${answer.status} to a request for the whole`)
}

/** A body in memory. Throws `TOO_LARGE`, and what reading it throws. */
export async function readWhole(url: string, answer: Answer, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let read = 0
  for await (const chunk of answer.body) {
    read += chunk.byteLength
    if (read > maxBytes) throw tooLarge(url, maxBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** `Content-Encoding` by its lower-case name. */
export function coding(answer: Answer): string {
  return (answer.header('content-encoding') ?? 'identity').trim().toLowerCase()
}

/** Apache's `AddEncoding x-gzip .gz` labels files that are gzip themselves: those are what was asked for. */
export function isEncoded(url: string, answer: Answer): boolean {
  const name = coding(answer)
  if (name === 'identity' || name === '') return false
  return !(/^(?:x-)?gzip$/.test(name) && /\.t?gz$/.test(new URL(url).pathname))
}

/** Undoes a gzip that was sent although identity was asked for. Throws `ILL` for other codings. */
export async function decoded(
  url: string,
  answer: Answer,
  bytes: Buffer,
  maxBytes: number,
): Promise<Uint8Array> {
  if (!isEncoded(url, answer)) return bytes
  if (!/^(?:x-)?gzip$/.test(coding(answer))) {
    throw new HttpError(
      'ILL',
      `GET ${url}: expected identity or gzip, got content-encoding ${coding(answer)}`,
    )
  }
  try {
    return await gunzipAsync(bytes, { maxOutputLength: maxBytes })
  } catch (err) {
    if ((err as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(url, maxBytes)
    throw new HttpError('ILL', `GET ${url}: its gzip encoding is broken`, { cause: err })
  }
}
