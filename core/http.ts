import { HubError } from './errors.ts'

/**
 * `ILL`: the host could not be asked (refused, timed out, 5xx, 403, 429, broken off): conclude nothing.
 * `TOO_LARGE`: more bytes than the caller allowed. `BAD_URL`: not a URL that we fetch.
 */
export type HttpErrorCode = 'ILL' | 'TOO_LARGE' | 'BAD_URL'
export class HttpError extends HubError<HttpErrorCode> {}

/** What a host gave to recognise an unchanged document by. */
export interface Validators {
  readonly etag: string | null
  readonly lastModified: string | null
}

/** A document that was read whole. */
export interface HttpDocument extends Validators {
  /** After redirects: what relative links are relative to. */
  readonly url: string
  readonly bytes: Uint8Array
}

/** A body on its way. Reading it to its end, leaving the loop or {@link HttpStream.discard} frees the connection. */
export interface HttpStream extends Validators {
  readonly url: string
  /** Content-Length of the whole body; null where the host does not say. */
  readonly sizeBytes: number | null
  readonly bytes: AsyncIterable<Uint8Array>
  /** Frees the connection of a body that nobody has begun to read. */
  discard(): Promise<void>
}

export interface HttpRequest {
  readonly signal: AbortSignal
  /** More than this is refused while it streams. */
  readonly maxBytes: number
}

/**
 * The only outward HTTP client: User-Agent with a contact, per-host queue and delay, redirects, retries with
 * `Retry-After`, resumption of broken bodies by `Range` with `If-Range`. Three outcomes: a value; null for 404 and
 * 410; {@link HttpError} `ILL` where nothing can be concluded.
 */
export interface Http {
  /** A small document, conditionally where `validators` of an earlier answer are given. */
  document(
    url: string,
    request: HttpRequest & { readonly validators?: Validators },
  ): Promise<HttpDocument | 'not-modified' | null>
  /** A large body, streamed. */
  stream(url: string, request: HttpRequest): Promise<HttpStream | null>
}
