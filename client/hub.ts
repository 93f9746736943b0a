import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type { Dispatcher } from 'undici'
import { describeError } from '../core/errors.ts'
import { hubVersion } from '../core/version.ts'
import { sleep } from '../core/hosts.ts'
import type { ResolveAnswer, ResolveRequest } from '../registry/api.ts'
import { ClientError } from './errors.ts'

export interface HubOptions {
  /** For proxies and tests; by default one that honours the proxy variables of the environment. */
  readonly dispatcher?: Dispatcher
  readonly timeouts?: Partial<Timeouts>
  /** Sent with every request: `Via` of a hub that asks for its own askers. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Bounds on one request. A hub may have to make a min BTF before it answers. */
export interface Timeouts {
  readonly connectMs: number
  readonly headersMs: number
  /** Silence between two parts of a body. */
  readonly bodyMs: number
  /** One call of the client with all it does, waiting for a hub that is still fetching what is asked for included. */
  readonly wholeMs: number
  /** Pause before the first repetition; doubles each time. */
  readonly backoffMs: number
  /** Tries of one request, the first included. */
  readonly tries: number
}

export const defaultTimeouts: Timeouts = {
  connectMs: 10_000,
  headersMs: 60_000,
  bodyMs: 30_000,
  wholeMs: 600_000,
  backoffMs: 500,
  tries: 3,
}

/** An answer in JSON: facts about one build. */
const MAX_JSON_BYTES = 4 * 1024 * 1024
/** A Retry-After above this is not waited for: the next hub is asked. */
const MAX_RETRY_AFTER_MS = 10_000

/** What is sent; the same at every try. */
export interface Body {
  /** Media type. */
  readonly type: string
  readonly method?: 'POST' | 'PUT'
  /** Of a token, for what needs one. */
  readonly authorization?: string
  readonly bytes: string | Uint8Array
}

/** What servers of plain files say to a path that is not there, or to a POST: nginx, S3 and Python's do not agree. */
const NO_ROUTE: ReadonlySet<number> = new Set([403, 404, 405, 410, 501])

interface Reply {
  readonly status: number
  readonly header: (name: string) => string | null
  readonly body: Uint8Array
}

const unzip = promisify(gunzip)

/** Talks to one hub. Every answer of status 200 is whole and of a size that was expected. */
export class HubConnection {
  /** Without a slash at the end. */
  readonly url: string
  readonly #options: HubOptions
  readonly #timeouts: Timeouts
  #dispatcher: Dispatcher | null = null

  /** Throws ClientError `BAD_REQUEST` where the URL is not one of a hub. */
  constructor(url: string, options: HubOptions = {}) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new ClientError('BAD_REQUEST', `hub ${JSON.stringify(url)}: expected an http or https URL`)
    }
    this.url = url.replace(/\/+$/, '')
    this.#options = options
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts }
  }

  /**
   * Which build a kernel is. Throws ClientError `NOT_FOUND`, `AMBIGUOUS`, `PENDING`, `BAD_REQUEST` as the hub says,
   * `UNAVAILABLE` where it cannot be asked.
   */
  async resolve(request: ResolveRequest, signal: AbortSignal): Promise<ResolveAnswer> {
    const body = { type: 'application/json', bytes: JSON.stringify(request) }
    const reply = await this.#request('/v1/resolve', MAX_JSON_BYTES, signal, body)
    const { ResolveAnswer } = await import('../registry/api.ts')
    const parsed = ResolveAnswer.safeParse(this.#json(reply))
    if (!parsed.success) throw this.#ill(`the answer is not one of a hub: ${parsed.error.message}`)
    return parsed.data
  }

  /** Bytes at a path, as many as is known or at most so many, with the headers; of a POST where there is a body. Throws the same. */
  async bytes(
    path: string,
    size: { readonly exactly: number } | { readonly atMost: number },
    signal: AbortSignal,
    body?: Body,
  ): Promise<{ readonly bytes: Uint8Array; readonly header: Reply['header'] }> {
    const max = 'exactly' in size ? size.exactly : size.atMost
    const reply = await this.#request(path, max, signal, body)
    const bytes = await this.#decoded(path, reply, max)
    if ('exactly' in size && bytes.byteLength !== size.exactly) {
      throw this.#ill(`${path}: ${bytes.byteLength} bytes, expected ${size.exactly}`)
    }
    return { bytes, header: reply.header }
  }

  /** The bytes of a file; null where there is none. Throws the same. */
  async file(path: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array | null> {
    try {
      return (await this.bytes(path, { atMost: maxBytes }, signal)).bytes
    } catch (err) {
      const isThere = !(err instanceof ClientError) || !(err.isNoRoute || err.code === 'NOT_FOUND')
      if (isThere) throw err
      return null
    }
  }

  /** Ends connections of its own making, and what goes over them. */
  async close(): Promise<void> {
    if (this.#dispatcher !== null && this.#dispatcher !== this.#options.dispatcher)
      await this.#dispatcher.destroy()
    this.#dispatcher = null
  }

  async #decoded(path: string, reply: Reply, max: number): Promise<Uint8Array> {
    if (reply.header('content-encoding') !== 'gzip') return reply.body
    try {
      return await unzip(reply.body, { maxOutputLength: Math.max(1, max) })
    } catch (err) {
      throw new ClientError('UNVERIFIED', `${this.url}${path}: bad gzip`, { cause: err })
    }
  }

  /** Asks until there is an answer that means something; anything but 200 is thrown. */
  async #request(path: string, maxBytes: number, signal: AbortSignal, body?: Body): Promise<Reply> {
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt >= this.#timeouts.tries
      let pauseMs = this.#timeouts.backoffMs * 2 ** (attempt - 1)
      try {
        const reply = await this.#once(path, maxBytes, signal, body)
        if (reply.status === 200 || reply.status === 201) return reply
        const mayPass = (reply.status >= 500 && reply.status !== 501) || reply.status === 429
        const retryAfterMs = Number(reply.header('retry-after') ?? 0) * 1000
        const refusal = await this.#refusal(path, reply)
        if (!mayPass || isLast || retryAfterMs > MAX_RETRY_AFTER_MS || refusal.code === 'PENDING')
          throw refusal
        pauseMs = Math.max(pauseMs, retryAfterMs || 0)
      } catch (err) {
        signal.throwIfAborted()
        if (err instanceof ClientError) throw err
        if (isLast) throw this.#ill(`${path}: ${describeError(err)}`, err)
      }
      await sleep(pauseMs, signal)
    }
  }

  async #once(path: string, maxBytes: number, signal: AbortSignal, sent: Body | undefined): Promise<Reply> {
    const { requestVia } = await import('../core/http-dispatch.ts')
    const { headersMs, bodyMs } = this.#timeouts
    const { statusCode, headers, body } = await requestVia(`${this.url}${path}`, {
      method: sent === undefined ? 'GET' : (sent.method ?? 'POST'),
      headers: {
        'user-agent': `btfhub/${hubVersion}`,
        'accept-encoding': 'gzip',
        ...this.#options.headers,
        ...(sent === undefined ? {} : { 'content-type': sent.type }),
        ...(sent?.authorization === undefined ? {} : { authorization: sent.authorization }),
      },
      ...(sent === undefined ? {} : { body: sent.bytes }),
      headersTimeout: headersMs,
      bodyTimeout: bodyMs,
      dispatcher: await this.#dispatch(),
      signal,
    })
    const header = (name: string): string | null => {
      const value = headers[name.toLowerCase()]
      return (Array.isArray(value) ? value[0] : value) ?? null
    }
    const allowed = statusCode === 200 ? maxBytes : MAX_JSON_BYTES
    return { status: statusCode, header, body: await this.#read(path, body, Math.max(allowed, 1024)) }
  }

  async #read(path: string, body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    let sizeBytes = 0
    for await (const chunk of body) {
      sizeBytes += chunk.byteLength
      if (sizeBytes > maxBytes) throw this.#ill(`${path}: more than ${maxBytes} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  async #refusal(path: string, reply: Reply): Promise<ClientError> {
    const { Problem } = await import('../registry/api.ts')
    const parsed = Problem.safeParse(tryJson(reply.body))
    if (!parsed.success) {
      const location = reply.header('location')
      const to = location === null ? '' : ` to ${location}: use that URL`
      return new ClientError('UNAVAILABLE', `${this.url}: ${path}: HTTP ${reply.status}${to}`, {
        isNoRoute: NO_ROUTE.has(reply.status),
      })
    }
    const problem = parsed.data
    const message = `${this.url}: ${problem.detail}`
    switch (problem.code) {
      case 'NOT_FOUND':
        return new ClientError('NOT_FOUND', message, { problem })
      case 'AMBIGUOUS':
        return new ClientError('AMBIGUOUS', message, { problem })
      case 'NO_ROUTE':
      case 'METHOD_NOT_ALLOWED':
        return new ClientError('UNAVAILABLE', message, { isNoRoute: true })
      case 'UNAUTHORIZED':
      case 'FORBIDDEN':
      case 'CONFLICT':
        return new ClientError('REFUSED', message, { problem })
      case 'PENDING':
        return new ClientError('PENDING', message, { problem })
      case 'BAD_REQUEST':
      case 'CONTRADICTION':
      case 'TOOL_UNFIT':
        return new ClientError('BAD_REQUEST', message, { problem })
      default:
        return this.#ill(`${path}: ${problem.detail}`)
    }
  }

  #json(reply: Reply): unknown {
    const value = tryJson(reply.body)
    if (value === undefined) throw this.#ill('the answer is no JSON')
    return value
  }

  #ill(problem: string, cause?: unknown): ClientError {
    return new ClientError('UNAVAILABLE', `${this.url}: ${problem}`, cause === undefined ? {} : { cause })
  }

  async #dispatch(): Promise<Dispatcher> {
    if (this.#dispatcher !== null) return this.#dispatcher
    const { outwardDispatcher } = await import('../core/http-dispatch.ts')
    const own = { env: process.env, connectTimeoutMs: this.#timeouts.connectMs }
    this.#dispatcher = this.#options.dispatcher ?? outwardDispatcher(own)
    return this.#dispatcher
  }
}

function tryJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return undefined
  }
}
