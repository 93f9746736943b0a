import { HttpError, type Validators } from './http.ts'
import { type Answer, Trouble } from './http-exchange.ts'

/** Where a body that broke off is taken up again. */
export interface Resumption {
  readonly url: string
  /** Of the whole body; null where the host did not say. */
  readonly sizeBytes: number | null
  readonly validators: Validators
  readonly maxBytes: number
  /** Progress that makes the next break count as the first one again. */
  readonly progressBytes: number
  /** Asks again with these headers; throws {@link HttpError} when no try succeeds. */
  readonly again: (headers: Readonly<Record<string, string>>) => Promise<Answer>
  /** Waits before try number `attempt + 1`; throws the trouble as {@link HttpError} after the last. */
  readonly pause: (attempt: number, trouble: Trouble) => Promise<void>
}

/**
 * A body from `answer`, taken up where it broke off by `Range` with `If-Range` (RFC 9110 13.1.5, 14.2). Where the host
 * gave no validator, an unchanged total size has to do: the digest that the caller checks settles the rest. A host that
 * sends the whole body again is read past what was delivered already; the consumer never sees a byte twice.
 */
export async function* resumable(answer: Answer, to: Resumption): AsyncGenerator<Uint8Array> {
  let offset = 0
  let attempt = 1
  let mark = 0
  let skip = 0
  for (let current = answer; ;) {
    try {
      for await (const chunk of current.body) {
        const fresh = skip < chunk.byteLength ? chunk.subarray(skip) : chunk.subarray(chunk.byteLength)
        skip -= chunk.byteLength - fresh.byteLength
        if (fresh.byteLength === 0) continue
        offset += fresh.byteLength
        if (offset > to.maxBytes) throw tooLarge(to.url, to.maxBytes)
        yield fresh
      }
      if (skip === 0 && (to.sizeBytes === null || offset === to.sizeBytes)) return
      const end = `GET ${to.url}: ended after ${offset} bytes, expected ${to.sizeBytes ?? 'more'}`
      throw new Trouble(current.host, end)
    } catch (err) {
      if (!(err instanceof Trouble)) throw err
      if (offset - mark >= to.progressBytes) attempt = 1
      mark = offset
      await to.pause(attempt++, err)
    }
    current = await to.again(rangeHeaders(offset, to.validators))
    skip = await takenUpAt(current, offset, to)
  }
}

/** The error for a body of more than `maxBytes`. */
export function tooLarge(url: string, maxBytes: number): HttpError {
  return new HttpError('TOO_LARGE', `GET ${url}: more than ${maxBytes} bytes`)
}

/** A strong ETag, else the date, identifies the very bytes; a weak ETag does not (RFC 9110 13.1.5). */
function rangeHeaders(offset: number, validators: Validators): Record<string, string> {
  if (offset === 0) return {}
  const strong = validators.etag?.startsWith('"') === true ? validators.etag : validators.lastModified
  return { range: `bytes=${offset}-`, ...(strong === null ? {} : { 'if-range': strong }) }
}

/** How many bytes of the new answer were delivered already. Throws `ILL` where it is not the same body. */
async function takenUpAt(answer: Answer, offset: number, to: Resumption): Promise<number> {
  const problem = changed(answer, offset, to)
  if (problem === null) return answer.status === 206 ? 0 : offset
  await answer.drain()
  throw new HttpError('ILL', `GET ${to.url}: cannot go on after ${offset} bytes: ${problem}`)
}

function changed(answer: Answer, offset: number, to: Resumption): string | null {
  const { etag, lastModified } = to.validators
  if (etag === null && lastModified === null && to.sizeBytes === null) return 'nothing to recognise it by'
  if (etag !== null && answer.header('etag') !== null && answer.header('etag') !== etag) {
    return `ETag was ${etag}, is ${answer.header('etag')}`
  }
  if (lastModified !== null && (answer.header('last-modified') ?? lastModified) !== lastModified) {
    return `Last-Modified was ${lastModified}, is ${answer.header('last-modified')}`
  }
  if (answer.status === 200) {
    const length = answer.header('content-length')
    const sizeBytes = length === null ? null : Number(length)
    return to.sizeBytes === null || sizeBytes === to.sizeBytes
      ? null
      : `size was ${to.sizeBytes}, is ${sizeBytes ?? 'not said'}`
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.header('content-range') ?? '')
  if (answer.status !== 206 || range === null) return `answered ${answer.status} to a range`
  if (Number(range[1]) !== offset) return `asked for bytes from ${offset}, got them from ${range[1]}`
  if (to.sizeBytes === null || range[2] === '*') return null
  return Number(range[2]) === to.sizeBytes ? null : `size was ${to.sizeBytes}, is ${range[2]}`
}
