import { Readable } from 'node:stream'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { Sha256 } from '../core/digest.ts'
import { describeError } from '../core/errors.ts'
import { formatKernel, type Kernel } from '../core/kernel.ts'
import type { Log } from '../core/log.ts'
import type { Origin } from '../core/provenance.ts'
import { type Derived, StoreError } from '../store/index.ts'
import { header, type Match } from './api.ts'
import type { Bodies } from './bodies.ts'
import type { Content } from './content.ts'
import { RegistryError } from './errors.ts'
import type { HotAnswers } from './hot-answers.ts'
import { evaluate, formatHttpDate, rangeIsCurrent, type Representation } from './http/conditions.ts'
import { acceptableEncodings, type Encoding } from './http/encodings.ts'
import { type ByteRange, parseRange } from './http/range.ts'
import type { VariantWanted } from './variant.ts'

/** What requests of this service carry; without a server (in tests) there are no bindings. */
export interface Env {
  Bindings: Partial<HttpBindings>
}

/** Bytes to be sent, and what is to be said about them. */
export interface Answer {
  readonly content: Content
  /** Media type. */
  readonly type: string
  /** The raw BTF that the bytes are or hold; null where they are something else. */
  readonly btf: Sha256 | null
  readonly kernel: Kernel | null
  /** Null where the bytes are no BTF of one kernel. */
  readonly match: Match | null
  /** With `predicted`: the kernels before and after the one that was asked for. */
  readonly predictedFrom?: readonly [Kernel, Kernel] | undefined
  /** Which BTF of the kernel it is; missing where nobody asked for another than its own. */
  readonly variant?: VariantWanted & { readonly base: Sha256 | null }
  readonly origin: Origin | null
  readonly lastModified: Date | null
  /** True where the URL names the digest: then the answer is the same for ever. */
  readonly immutable: boolean
  /** True where an old answer does harm: caches have to ask each time. */
  readonly volatile?: boolean
  /** The content in gzip, where it is at hand; then `encodable` is false. */
  readonly gzip?: Content
  /** True where compressed forms of the content may be sent instead, for whoever accepts them. */
  readonly encodable: boolean
  /** The snapshot that the answer was made from; null where it depends on something else. */
  readonly snapshotId: number | null
}

/** A form that takes longer to make than this is not waited for: the asker gets identity, the next one the form. */
const MAX_ENCODING_WAIT_MS = 1500

/** What the store calls the encodings. */
const FORMS = { br: 'br', zstd: 'zst', gzip: 'gz' } as const

/** By release an answer may change when a build is added; a short while of an old one does no harm. */
const CACHE_BRIEFLY = 'public, max-age=300'
const CACHE_FOR_EVER = 'public, max-age=31536000, immutable'

/** Everything between "these are the bytes" and HTTP: encodings, conditions, ranges, headers, and what is kept hot. */
export class Sender {
  readonly #derived: Derived
  readonly #bodies: Bodies
  readonly #hot: HotAnswers
  readonly #log: Log
  readonly #cannotMake = new Set<Encoding>()

  constructor(parts: {
    readonly derived: Derived
    readonly bodies: Bodies
    readonly hot: HotAnswers
    readonly log: Log
  }) {
    this.#derived = parts.derived
    this.#bodies = parts.bodies
    this.#hot = parts.hot
    this.#log = parts.log
  }

  /** Throws RegistryError `PRECONDITION_FAILED` and `RANGE_NOT_SATISFIABLE`, and what reading a blob throws. */
  async send(c: Context<Env>, answer: Answer): Promise<Response> {
    const { encoding, content, isBest } = await this.#choose(c, answer)
    const current = { etag: etagOf(answer.content.digest, encoding), lastModified: answer.lastModified }
    const headers = { ...describe(answer), ...describeForm(content, encoding, current) }
    switch (evaluate(conditionsOf(c), current)) {
      case 'failed':
        throw new RegistryError('PRECONDITION_FAILED', `the current ETag is ${current.etag}`)
      case 'not-modified':
        return new Response(null, { status: 304, headers: withoutContent(headers) })
      case 'go':
        break
    }
    const range = rangeOf(c, content, current)
    if (range !== null) return this.#part(content, range, headers)
    return this.#whole(c, isBest ? answer : { ...answer, snapshotId: null }, content, headers)
  }

  /**
   * The best form that the asker accepts and that is there or soon made; `isBest` is false where a better one is still
   * to come. Identity where nothing else can be.
   */
  async #choose(
    c: Context<Env>,
    answer: Answer,
  ): Promise<{ readonly encoding: Encoding; readonly content: Content; readonly isBest: boolean }> {
    const { gzip } = answer
    if (gzip !== undefined && acceptableEncodings(c.req.header('accept-encoding')).includes('gzip')) {
      return { encoding: 'gzip', content: gzip, isBest: true }
    }
    let isBest = true
    const accepted = answer.encodable ? acceptableEncodings(c.req.header('accept-encoding')) : []
    for (const encoding of accepted) {
      if (encoding === 'identity') break
      if (this.#cannotMake.has(encoding)) continue
      const content = await this.#encoded(answer.content.digest, encoding)
      if (content === null) isBest = false
      else if (content.sizeBytes < answer.content.sizeBytes) return { encoding, content, isBest }
    }
    return { encoding: 'identity', content: answer.content, isBest }
  }

  /** Null where it is not made in time or cannot be made; it is being made nevertheless. */
  async #encoded(digest: Sha256, encoding: Exclude<Encoding, 'identity'>): Promise<Content | null> {
    const making = this.#derived.get(digest, FORMS[encoding]).catch((err: unknown) => {
      this.#log.warn({ digest, encoding, err: describeError(err) }, 'a form of a blob could not be made')
      // Without its program no other blob would fare better.
      if (err instanceof StoreError && err.code === 'TOOL') this.#cannotMake.add(encoding)
      return null
    })
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), MAX_ENCODING_WAIT_MS)
    })
    return Promise.race([making, timeout]).finally(() => clearTimeout(timer))
  }

  async #part(content: Content, range: ByteRange, headers: Record<string, string>): Promise<Response> {
    const stream = await content.open(range)
    return new Response(webStream(stream), {
      status: 206,
      headers: {
        ...headers,
        'Content-Length': String(range.end - range.start),
        'Content-Range': `bytes ${range.start}-${range.end - 1}/${content.sizeBytes}`,
      },
    })
  }

  async #whole(
    c: Context<Env>,
    answer: Answer,
    content: Content,
    headers: Record<string, string>,
  ): Promise<Response> {
    if (c.req.method === 'HEAD') return new Response(null, { headers })
    const body = await this.#bodies.get(content)
    if (body === null) return new Response(webStream(await content.open()), { headers })
    const url = c.env?.incoming?.url
    if (url !== undefined && answer.snapshotId !== null) {
      this.#hot.remember(url, c.req.header('accept-encoding'), answer.snapshotId, {
        headers,
        body,
      })
    }
    return new Response(body as Uint8Array<ArrayBuffer>, { headers })
  }
}

/** What the answer is, in whatever form it is sent. */
function describe(answer: Answer): Record<string, string> {
  return {
    'Content-Type': answer.type,
    'Cache-Control': cachingOf(answer),
    'Accept-Ranges': 'bytes',
    'X-Content-Type-Options': 'nosniff',
    ...(answer.match === null ? {} : { [header.match]: answer.match }),
    ...(answer.encodable || answer.gzip !== undefined ? { Vary: 'Accept-Encoding' } : {}),
    ...(answer.btf === null ? {} : { [header.digest]: answer.btf }),
    ...(answer.kernel === null ? {} : { [header.kernel]: formatKernel(answer.kernel) }),
    ...(answer.origin === null ? {} : { [header.origin]: answer.origin }),
    ...(answer.variant === undefined ? {} : describeVariant(answer.variant)),
    ...(answer.predictedFrom === undefined
      ? {}
      : { [header.predictedFrom]: answer.predictedFrom.map(formatKernel).join(' ') }),
  }
}

function cachingOf({ immutable, volatile, match }: Answer): string {
  if (volatile === true) return 'no-cache'
  // A guess is not to be found again once the kernel itself is there.
  if (match === 'predicted') return 'no-store'
  return immutable ? CACHE_FOR_EVER : CACHE_BRIEFLY
}

function describeVariant({
  variant,
  module,
  compat,
  base,
}: NonNullable<Answer['variant']>): Record<string, string> {
  return {
    ...(variant === 'full' ? {} : { [header.variant]: variant }),
    ...(module === null ? {} : { [header.module]: module }),
    ...(base === null ? {} : { [header.base]: base }),
    ...(compat === 'native' ? {} : { [header.compat]: compat }),
  }
}

/** What the form is that is sent. `Repr-Digest` is of the bytes on the wire, coding included (RFC 9530 3). */
function describeForm(content: Content, encoding: Encoding, current: Representation): Record<string, string> {
  return {
    'Content-Length': String(content.sizeBytes),
    ETag: current.etag,
    'Repr-Digest': `sha-256=:${Buffer.from(content.digest, 'hex').toString('base64')}:`,
    ...(encoding === 'identity' ? {} : { 'Content-Encoding': encoding }),
    ...(current.lastModified === null ? {} : { 'Last-Modified': formatHttpDate(current.lastModified) }),
  }
}

/** A 304 says what changes about what is cached, and nothing about a body (RFC 9110 15.4.5). */
function withoutContent(headers: Record<string, string>): Record<string, string> {
  const { 'Content-Length': _length, 'Content-Type': _type, 'Content-Encoding': _encoding, ...rest } = headers
  return rest
}

/** Encoded forms are other bytes, so they have another strong tag (RFC 9110 8.8.3.3). */
function etagOf(digest: Sha256, encoding: Encoding): string {
  return encoding === 'identity' ? `"${digest}"` : `"${digest}-${encoding}"`
}

function conditionsOf(c: Context<Env>): Parameters<typeof evaluate>[0] {
  return {
    ifMatch: c.req.header('if-match'),
    ifNoneMatch: c.req.header('if-none-match'),
    ifModifiedSince: c.req.header('if-modified-since'),
    ifUnmodifiedSince: c.req.header('if-unmodified-since'),
  }
}

/** `Range` means something on GET only (RFC 9110 14.2). */
function rangeOf(c: Context<Env>, content: Content, current: Representation): ByteRange | null {
  if (c.req.method !== 'GET' || !rangeIsCurrent(c.req.header('if-range'), current)) return null
  const range = parseRange(c.req.header('range'), content.sizeBytes)
  if (range !== 'unsatisfiable') return range
  throw new RegistryError('RANGE_NOT_SATISFIABLE', `there are ${content.sizeBytes} bytes`, {
    headers: { 'Content-Range': `bytes */${content.sizeBytes}` },
  })
}

function webStream(stream: Readable): ReadableStream<Uint8Array> {
  return Readable.toWeb(stream) as ReadableStream<Uint8Array>
}
