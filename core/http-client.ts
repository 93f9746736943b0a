import { describeError } from './errors.ts'
import type { LookupFunction } from 'node:net'
import { Hosts, type HostPolicies, sleep } from './hosts.ts'
import { type Http, type HttpDocument, HttpError, type HttpRequest, type HttpStream } from './http.ts'
import type { Validators } from './http.ts'
import { resumable } from './http-body.ts'
import {
  coding,
  conditionHeaders,
  contentLength,
  decoded,
  isEncoded,
  judge,
  readWhole,
  validatorsOf,
  whole,
} from './http-content.ts'
import { outwardDispatcher, type TlsIdentity } from './http-dispatch.ts'
import { type Answer, exchange, type ExchangeOptions, Trouble, webUrl } from './http-exchange.ts'
import { Meter, type Traffic } from './http-meter.ts'
import { fileDocument, fileStream } from './http-file.ts'
import { parseRetryAfter, retryDelayMs, type RetryPolicy } from './http-retry.ts'
import { limits } from './limits.ts'
import type { Log } from './log.ts'
import { hubVersion } from './version.ts'

export interface HttpOptions {
  /** {@link hubUserAgent}: who asks, and whom to write to. */
  readonly userAgent: string
  readonly hosts: HostPolicies
  readonly log: Log
  /** True lets `file:` URLs through: a mirror on a disk. */
  readonly files?: boolean
  /** Proxy variables (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`) of the process by default. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What single hosts are shown, by `host` or `host:port` as in a URL; nobody else sees it. */
  readonly identities?: Readonly<Record<string, TlsIdentity>>
  /** Where redirects may lead and names may resolve to; everywhere by default. */
  readonly guard?: HttpGuard
  /** Bounds other than those of `core/limits`. */
  readonly bounds?: Partial<HttpBounds>
  readonly random?: () => number
}

/** Keeps requests from where they have no business. */
export interface HttpGuard {
  /** Why a redirect is not followed; null where it is. */
  refuses(to: URL): string | null
  readonly lookup: LookupFunction
}

export interface HttpBounds {
  readonly connectTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly tries: number
  readonly maxRetryAfterMs: number
  readonly maxRedirects: number
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  readonly minBytesPerSecond: number
  readonly progressBytes: number
  readonly maxFailedInRow: number
}

/** What went over the wire since the client was made. */
export interface HttpStats extends Traffic {
  readonly hosts: Readonly<Record<string, Traffic>>
}

/** One run's client: what it learns about ill hosts is forgotten with it. */
export interface HttpClient extends Http {
  stats(): HttpStats
  /** The same client, whose requests are counted in `meter` too. */
  metered(meter: Meter): Http
  /** Closes idle connections; what is under way ends first. */
  close(): Promise<void>
}

/** `btfhub/0.1.0 (+https://…)`: some hosts refuse requests that do not say who asks. */
export function hubUserAgent(contact: string): string {
  return `btfhub/${hubVersion} (+${contact})`
}

/** The outward HTTP client as {@link Http} describes it, on undici. */
export function createHttp(options: HttpOptions): HttpClient {
  return new UndiciHttp(options)
}

/** Which try of one request this is. */
interface Turn {
  attempt: number
}

function exchangeOf(options: HttpOptions, bounds: HttpBounds): ExchangeOptions {
  const { guard } = options
  const common = {
    env: options.env ?? process.env,
    connectTimeoutMs: bounds.connectTimeoutMs,
    ...(guard !== undefined && { lookup: guard.lookup }),
  }
  const byHost = Object.entries(options.identities ?? {}).map(
    ([host, tls]) => [host, outwardDispatcher({ ...common, tls })] as const,
  )
  return {
    dispatchers: { byHost: new Map(byHost), others: outwardDispatcher(common) },
    hosts: new Hosts(options.hosts, bounds.maxFailedInRow),
    userAgent: options.userAgent,
    idleTimeoutMs: bounds.idleTimeoutMs,
    minBytesPerSecond: bounds.minBytesPerSecond,
    maxRedirects: bounds.maxRedirects,
    meter: new Meter(),
    ...(guard !== undefined && { guard }),
  }
}

class UndiciHttp implements HttpClient {
  readonly #options: HttpOptions
  readonly #bounds: HttpBounds
  readonly #retry: RetryPolicy
  readonly #exchange: ExchangeOptions
  readonly #log: Log
  readonly #files: boolean

  constructor(options: HttpOptions, exchange?: ExchangeOptions) {
    this.#options = options
    this.#bounds = { ...limits.http, ...options.bounds }
    this.#retry = { ...this.#bounds, random: options.random ?? Math.random }
    this.#log = options.log
    this.#files = options.files ?? false
    this.#exchange = exchange ?? exchangeOf(options, this.#bounds)
  }

  async document(
    url: string,
    request: HttpRequest & { readonly validators?: Validators },
  ): Promise<HttpDocument | 'not-modified' | null> {
    if (this.#isFile(url)) return fileDocument(url, request)
    const conditions = conditionHeaders(request.validators)
    // Breaking off in the middle counts against the same tries: nobody has seen anything of it yet.
    const turn: Turn = { attempt: 1 }
    for (;;) {
      const answer = await this.#ask(url, conditions, request.signal, turn)
      if (answer === null) return null
      if (answer.status === 304) {
        await answer.drain()
        this.#exchange.hosts.answered(answer.host)
        if (request.validators !== undefined) return 'not-modified'
        throw new HttpError('ILL', `GET ${url}: answered 304 to a request without conditions`)
      }
      try {
        const bytes = await readWhole(url, await whole(url, answer, request.maxBytes), request.maxBytes)
        this.#exchange.hosts.answered(answer.host)
        return {
          url: answer.url,
          bytes: await decoded(url, answer, bytes, request.maxBytes),
          ...validatorsOf(answer),
        }
      } catch (err) {
        if (!(err instanceof Trouble)) throw err
        await this.#pause(turn, err, null, request.signal)
      }
    }
  }

  async stream(url: string, request: HttpRequest): Promise<HttpStream | null> {
    if (this.#isFile(url)) return fileStream(url, request)
    const answer = await this.#ask(url, {}, request.signal)
    if (answer === null) return null
    await whole(url, answer, request.maxBytes)
    if (isEncoded(url, answer)) {
      await answer.drain()
      throw new HttpError(
        'ILL',
        `GET ${url}: expected the file itself, got content-encoding ${coding(answer)}`,
      )
    }
    const validators = validatorsOf(answer)
    const sizeBytes = contentLength(answer)
    const again = async (headers: Readonly<Record<string, string>>): Promise<Answer> => {
      const next = await this.#ask(url, headers, request.signal)
      if (next === null) throw new HttpError('ILL', `GET ${url}: gone in the middle of the transfer`)
      return next
    }
    const bytes = resumable(answer, {
      url,
      sizeBytes,
      validators,
      maxBytes: request.maxBytes,
      progressBytes: this.#bounds.progressBytes,
      again,
      pause: (attempt, trouble) => this.#pause({ attempt }, trouble, null, request.signal),
    })
    return {
      url: answer.url,
      sizeBytes,
      bytes: this.#creditedTo(answer.host, bytes),
      discard: () => answer.drain(),
      ...validators,
    }
  }

  stats(): HttpStats {
    const { meter } = this.#exchange
    return { ...meter.total(), hosts: structuredClone(Object.fromEntries(meter.hosts)) }
  }

  metered(meter: Meter): Http {
    return new UndiciHttp(this.#options, { ...this.#exchange, meter: new Meter(this.#exchange.meter, meter) })
  }

  async close(): Promise<void> {
    const { byHost, others } = this.#exchange.dispatchers
    await Promise.all([...byHost.values(), others].map((dispatcher) => dispatcher.close()))
  }

  #isFile(url: string): boolean {
    if (this.#files && url.startsWith('file:')) return true
    webUrl(url)
    return false
  }

  /**
   * Asks until there is an answer that says something: 2xx, 304, 416, or null for 404 and 410. All else is retried
   * where that can help, and ends in {@link HttpError} `ILL`.
   */
  async #ask(
    url: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    turn: Turn = { attempt: 1 },
  ): Promise<Answer | null> {
    for (;;) {
      let trouble: Trouble
      let retryAfterMs: number | null = null
      try {
        const answer = await exchange(url, headers, signal, this.#exchange)
        const verdict = judge(answer)
        if (verdict === 'answer') return answer
        await answer.drain()
        if (verdict === 'absent') {
          this.#exchange.hosts.answered(answer.host)
          return null
        }
        if (verdict === 'forbidden') this.#exchange.hosts.stop(answer.host, `it answered ${answer.status}`)
        const said = `GET ${url}: ${answer.host} answered ${answer.status}`
        if (verdict !== 'again') throw new HttpError('ILL', said)
        retryAfterMs = parseRetryAfter(answer.header('retry-after') ?? '', new Date())
        trouble = new Trouble(answer.host, said)
        if (answer.status === 429 && (retryAfterMs === null || turn.attempt >= this.#retry.tries)) {
          this.#exchange.hosts.stop(answer.host, 'it answered 429')
          throw new HttpError('ILL', said)
        }
      } catch (err) {
        if (!(err instanceof Trouble)) throw err
        trouble = err
      }
      await this.#pause(turn, trouble, retryAfterMs, signal)
    }
  }

  /** A body that came whole is to the credit of its host. */
  async *#creditedTo(host: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    yield* bytes
    this.#exchange.hosts.answered(host)
  }

  /** Waits for the next try; where there is none, blames the host and throws `ILL`. */
  async #pause(
    turn: Turn,
    trouble: Trouble,
    retryAfterMs: number | null,
    signal: AbortSignal,
  ): Promise<void> {
    const { attempt } = turn
    const delayMs = retryDelayMs(this.#retry, attempt, retryAfterMs)
    if (attempt >= this.#retry.tries || delayMs === null || trouble.hopeless) {
      const { hosts } = this.#exchange
      if (trouble.unreachable) hosts.stop(trouble.host, 'it cannot be reached')
      else if (delayMs === null) hosts.stop(trouble.host, `it asked to be left alone for ${retryAfterMs} ms`)
      else hosts.failed(trouble.host, 'its answers keep failing')
      const tries = attempt === 1 ? '' : ` (${attempt} tries)`
      throw new HttpError('ILL', `${trouble.message}${tries}`, { cause: trouble.cause })
    }
    turn.attempt++
    this.#log.debug({ attempt, delayMs, reason: describeError(trouble) }, 'trying again')
    await sleep(delayMs, signal)
  }
}
