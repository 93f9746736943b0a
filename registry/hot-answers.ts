import type { IncomingHttpHeaders } from 'node:http'
import { RecentCache } from '../core/recent-cache.ts'
import { acceptableEncodings, type Encoding } from './http/encodings.ts'

/** An answer of status 200 as it goes over the wire. */
export interface HotAnswer {
  /** Names and values in turn, `Content-Length` among them. */
  readonly headers: readonly string[]
  /**
   * A small one is a string of latin1: Node writes it together with the headers, in one piece (_http_outgoing.js,
   * `_send`), which is worth some tenths of a hot request.
   */
  readonly body: Buffer | string
}

/** Up to here a body is worth copying behind its headers. */
const SMALL_BYTES = 16 * 1024

/** Headers that make a GET something else than "the whole, please". */
const CONDITIONS = ['range', 'if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since'] as const

/** What an answer weighs besides its body. */
const OVERHEAD_BYTES = 2048
/** Forms of `Accept-Encoding` whose meaning is remembered; agents of one kind all send the same one. */
const MAX_HEADER_FORMS = 256

/**
 * Whole answers by URL and accepted encodings, good as long as the snapshot that they were made from is the newest.
 * They are made and remembered where all answers are made (`Sender`); here they are only found again, before any
 * routing.
 */
export class HotAnswers {
  readonly #answers: RecentCache<{ readonly snapshotId: number; readonly answer: HotAnswer }>
  readonly #encodings = new RecentCache<string>(MAX_HEADER_FORMS)

  constructor(maxBytes: number) {
    this.#answers = new RecentCache(maxBytes)
  }

  /** The answer to a GET or HEAD of `url`; undefined where it has to be made. */
  find(url: string, headers: IncomingHttpHeaders, snapshotId: number): HotAnswer | undefined {
    for (const name of CONDITIONS) if (headers[name] !== undefined) return undefined
    const found = this.#answers.get(this.#key(url, headers['accept-encoding']))
    return found?.snapshotId === snapshotId ? found.answer : undefined
  }

  remember(
    url: string,
    acceptEncoding: string | undefined,
    snapshotId: number,
    answer: { readonly headers: Readonly<Record<string, string>>; readonly body: Buffer },
  ): void {
    const { headers, body } = answer
    const hot: HotAnswer = {
      headers: Object.entries(headers).flat(),
      body: body.byteLength <= SMALL_BYTES ? body.toString('latin1') : body,
    }
    const weight = body.byteLength + url.length + OVERHEAD_BYTES
    this.#answers.set(this.#key(url, acceptEncoding), { snapshotId, answer: hot }, weight)
  }

  #key(url: string, acceptEncoding: string | undefined): string {
    if (acceptEncoding === undefined) return url
    let accepted = this.#encodings.get(acceptEncoding)
    if (accepted === undefined) {
      const encodings: readonly Encoding[] = acceptableEncodings(acceptEncoding)
      accepted = encodings.join() === 'identity' ? '' : ` ${encodings.join()}`
      this.#encodings.set(acceptEncoding, accepted, 1)
    }
    return url + accepted
  }
}
