import type { Dispatcher } from 'undici'
import { HttpError } from './http.ts'
import { requestVia } from './http-dispatch.ts'
import type { Hosts } from './hosts.ts'
import type { Meter } from './http-meter.ts'
import { limits } from './limits.ts'

export interface ExchangeOptions {
  readonly dispatchers: {
    /** For hosts that are shown who asks. */
    readonly byHost: ReadonlyMap<string, Dispatcher>
    readonly others: Dispatcher
  }
  readonly hosts: Hosts
  readonly userAgent: string
  readonly idleTimeoutMs: number
  readonly minBytesPerSecond: number
  readonly maxRedirects: number
  readonly meter: Meter
  readonly guard?: { refuses(to: URL): string | null }
}

/** One exchange failed in a way that another try may not. */
export class Trouble extends Error {
  readonly host: string
  /** No connection came about: the fault is not this URL's. */
  readonly unreachable: boolean
  /** Asking again soon would change nothing: no such host, or one whose certificate does not hold. */
  readonly hopeless: boolean

  constructor(host: string, message: string, options: { cause?: unknown; code?: string } = {}) {
    super(message, { cause: options.cause })
    const { code = '' } = options
    this.host = host
    this.hopeless = code === 'ENOTFOUND' || isTlsError(code)
    this.unreachable = this.hopeless || UNREACHABLE.has(code)
  }
}

/** The head of an answer that is no redirect, and its body on its way. */
export interface Answer {
  /** After redirects. */
  readonly url: string
  /** The host that answered. */
  readonly host: string
  /** True where the answer comes from another host than was asked. */
  readonly elsewhere: boolean
  readonly status: number
  header(name: string): string | null
  /** To be read once. Leaving the loop frees the connection. Throws {@link Trouble} where it breaks off. */
  readonly body: AsyncIterable<Uint8Array>
  /** Gives up the body; the connection stays usable where little of it is left. */
  drain(): Promise<void>
}

/** One GET over http or https with its redirects. Throws {@link Trouble}, {@link HttpError} or the signal's reason. */
export async function exchange(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
  options: ExchangeOptions,
): Promise<Answer> {
  const askedHost = webUrl(url).host
  let at = webUrl(url)
  for (let hops = 0; ; hops++) {
    const answer = await getOnce(at, askedHost, headers, signal, options)
    const location = redirectTarget(answer)
    if (location === null) return answer
    await answer.drain()
    if (hops === options.maxRedirects) {
      throw new HttpError(
        'ILL',
        `GET ${url}: more than ${options.maxRedirects} redirects, last to ${location}`,
      )
    }
    try {
      at = webUrl(new URL(location, at).href)
    } catch (err) {
      throw new HttpError('ILL', `GET ${url}: redirected to ${JSON.stringify(location)}`, { cause: err })
    }
    const refused = options.guard?.refuses(at) ?? null
    if (refused !== null) throw new HttpError('ILL', `GET ${url}: redirected to ${at.href}: ${refused}`)
  }
}

/** Checks that a URL is one that we fetch. Throws {@link HttpError} `BAD_URL`. */
export function webUrl(text: string): URL {
  let url: URL
  try {
    url = new URL(text)
  } catch (err) {
    throw new HttpError('BAD_URL', `${JSON.stringify(text)} is not a URL`, { cause: err })
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new HttpError('BAD_URL', `${JSON.stringify(text)}: expected http: or https:, got ${url.protocol}`)
  }
  return url
}

async function getOnce(
  url: URL,
  askedHost: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
  options: ExchangeOptions,
): Promise<Answer> {
  const { hosts, meter, dispatchers } = options
  // Nobody waits for a turn at a host that is not asked any more.
  refuseStopped(hosts, url)
  const leave = await hosts.enter(url.host, signal)
  try {
    refuseStopped(hosts, url)
    meter.requested(url.host)
    const response = await requestVia(url, {
      dispatcher: dispatchers.byHost.get(url.host) ?? dispatchers.others,
      signal,
      headersTimeout: options.idleTimeoutMs,
      bodyTimeout: options.idleTimeoutMs,
      headers: { 'user-agent': options.userAgent, accept: '*/*', 'accept-encoding': 'identity', ...headers },
    })
    const { body } = response
    // A body that is given up reports that as an error, which nobody waits for then.
    body.on('error', () => undefined)
    // The body closes a moment before its connection is free again; a place given on too soon would open another.
    body.once('close', () => setImmediate(leave))
    return {
      url: url.href,
      host: url.host,
      // Where a guard let it go, it is where it should be.
      elsewhere: options.guard === undefined && url.host !== askedHost,
      status: response.statusCode,
      header: (name) => firstOf(response.headers[name]),
      body: watched(body, url, signal, options),
      drain: async () => {
        const limit = AbortSignal.timeout(limits.http.maxDrainMs)
        await body.dump({ limit: limits.http.maxDrainBytes, signal: limit }).catch(() => undefined)
        body.destroy()
      },
    }
  } catch (err) {
    leave()
    throw asTrouble(err, url, signal)
  }
}

/** A body whose bytes are counted, whose errors are told apart, and whose trickling counts as silence. */
async function* watched(
  body: AsyncIterable<Uint8Array>,
  url: URL,
  signal: AbortSignal,
  options: ExchangeOptions,
): AsyncGenerator<Uint8Array> {
  // Only waiting counts: a consumer may be as slow as it likes.
  let waitedMs = 0
  let came = 0
  let since = performance.now()
  try {
    for await (const chunk of body) {
      options.meter.received(url.host, chunk.byteLength)
      waitedMs += performance.now() - since
      came += chunk.byteLength
      if (waitedMs >= options.idleTimeoutMs) {
        if (came < (options.minBytesPerSecond * waitedMs) / 1000) {
          throw new Trouble(
            url.host,
            `GET ${url.href}: ${came} bytes in ${Math.round(waitedMs)} ms, expected ${options.minBytesPerSecond} a second`,
          )
        }
        waitedMs = 0
        came = 0
      }
      yield chunk
      since = performance.now()
    }
  } catch (err) {
    throw asTrouble(err, url, signal)
  }
}

function refuseStopped(hosts: Hosts, url: URL): void {
  const reason = hosts.stopped(url.host)
  if (reason === null) return
  throw new HttpError('ILL', `GET ${url.href}: ${url.host} is left alone for this run: ${reason}`)
}

function redirectTarget(answer: Answer): string | null {
  return [301, 302, 303, 307, 308].includes(answer.status) ? answer.header('location') : null
}

function firstOf(value: string | string[] | undefined): string | null {
  return (Array.isArray(value) ? value[0] : value) ?? null
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'PROXY_REFUSED',
])

function asTrouble(err: unknown, url: URL, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  if (err instanceof Trouble || err instanceof HttpError) return err
  const { code } = err as { code?: unknown }
  const named = typeof code === 'string' ? { code } : {}
  // A host with several addresses fails with an AggregateError that says nothing but its code.
  const cause = err instanceof Error && err.message !== '' ? err : new Error(named.code, { cause: err })
  return new Trouble(url.host, `GET ${url.href}`, { cause, ...named })
}

/** OpenSSL's verification results and Node's own. */
function isTlsError(code: string): boolean {
  return /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/.test(code)
}
