import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { HttpError, type HttpDocument, type HttpRequest, type HttpStream, type Validators } from './http.ts'
import { tooLarge } from './http-body.ts'

/** A mirror that is a folder, for machines without a network. A missing file is null, as 404 is. */
export async function fileStream(url: string, request: HttpRequest): Promise<HttpStream | null> {
  const path = fileURLToPath(url)
  const found = await stat(path).catch((err: unknown) => {
    if ((err as { code?: unknown }).code === 'ENOENT') return null
    throw new HttpError('ILL', `read ${url}`, { cause: err })
  })
  if (found === null) return null
  if (!found.isFile()) throw new HttpError('ILL', `read ${url}: expected a file`)
  if (found.size > request.maxBytes) throw tooLarge(url, request.maxBytes)
  return {
    url,
    etag: null,
    lastModified: found.mtime.toUTCString(),
    sizeBytes: found.size,
    bytes: fileBytes(path, url, request),
    discard: () => Promise.resolve(),
  }
}

/** The same, read whole. Never `not-modified`: reading a file costs less than remembering it. */
export async function fileDocument(
  url: string,
  request: HttpRequest & { readonly validators?: Validators },
): Promise<HttpDocument | null> {
  const stream = await fileStream(url, request)
  if (stream === null) return null
  const chunks: Uint8Array[] = []
  for await (const chunk of stream.bytes) chunks.push(chunk)
  return { url, etag: null, lastModified: stream.lastModified, bytes: Buffer.concat(chunks) }
}

async function* fileBytes(path: string, url: string, request: HttpRequest): AsyncGenerator<Uint8Array> {
  let read = 0
  try {
    for await (const chunk of createReadStream(path, { signal: request.signal })) {
      const bytes = chunk as Buffer
      read += bytes.byteLength
      if (read > request.maxBytes) throw tooLarge(url, request.maxBytes)
      yield bytes
    }
  } catch (err) {
    if (request.signal.aborted) throw request.signal.reason
    if (err instanceof HttpError) throw err
    throw new HttpError('ILL', `read ${url}`, { cause: err })
  }
}
