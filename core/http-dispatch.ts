import type { LookupFunction } from 'node:net'
import { Dispatcher, EnvHttpProxyAgent, Pool, request } from 'undici'

/** What a client shows of itself, and whom it believes: PEM, as node:tls takes them. */
export interface TlsIdentity {
  readonly cert: string
  readonly key: string
  /** Authorities that are believed instead of the usual ones. */
  readonly ca?: string
}

export interface DispatchOptions {
  /** `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in either case; what is not there stands for none. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** To the host or to the proxy, for the proxy to tunnel, and for TLS, each. */
  readonly connectTimeoutMs: number
  readonly tls?: TlsIdentity
  /** How names are resolved, the proxy's too; as usual by default. */
  readonly lookup?: LookupFunction
}

/** A proxy that does not tunnel; `code` tells it from faults of the host behind it. */
class ProxyRefusal extends Error {
  readonly code = 'PROXY_REFUSED'
}

/**
 * Where outward requests go: straight to the host, or by the proxy that the environment names for its protocol, by curl's
 * rules (curl(1), "ENVIRONMENT"): `http_proxy` is for `http` URLs and no others.
 */
export function outwardDispatcher(options: DispatchOptions): Dispatcher {
  const { env } = options
  const all = env.all_proxy ?? env.ALL_PROXY ?? ''
  const httpProxy = env.http_proxy ?? env.HTTP_PROXY ?? all
  const httpsProxy = env.https_proxy ?? env.HTTPS_PROXY ?? all
  // undici takes its proxy for http where it has none for https: it is told of one at a time.
  return new ByProtocol(proxyAgent(options, { httpProxy }), proxyAgent(options, { httpsProxy }))
}

type Proxies = Pick<EnvHttpProxyAgent.Options, 'httpProxy' | 'httpsProxy'>

function proxyAgent({ env, connectTimeoutMs, tls, lookup }: DispatchOptions, proxies: Proxies): Dispatcher {
  const toHost = { timeout: connectTimeoutMs, ...tls, ...(lookup !== undefined && { lookup }) }
  return new EnvHttpProxyAgent({
    connect: toHost,
    requestTls: toHost,
    proxyTls: { timeout: connectTimeoutMs },
    // Many proxies tunnel to port 443 only; what is plain HTTP goes through them as a plain request.
    proxyTunnel: false,
    clientFactory: (origin, options) =>
      tunnelling(new Pool(origin, { ...options, headersTimeout: connectTimeoutMs })),
    // An empty value keeps undici from looking into the environment by itself.
    httpProxy: '',
    httpsProxy: '',
    ...proxies,
    noProxy: env.no_proxy ?? env.NO_PROXY ?? '',
  })
}

/** One dispatcher for `http` URLs, another for `https`. */
class ByProtocol extends Dispatcher {
  readonly #http: Dispatcher
  readonly #https: Dispatcher

  constructor(http: Dispatcher, https: Dispatcher) {
    super()
    this.#http = http
    this.#https = https
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const isHttps = String(options.origin ?? '').startsWith('https:')
    return (isHttps ? this.#https : this.#http).dispatch(options, handler)
  }

  override close(): Promise<void>
  override close(callback: () => void): void
  override close(callback?: () => void): Promise<void> | void {
    const closed = Promise.all([this.#http.close(), this.#https.close()]).then(() => undefined)
    if (callback === undefined) return closed
    void closed.then(callback)
  }

  override destroy(): Promise<void>
  override destroy(err: Error | null): Promise<void>
  override destroy(callback: () => void): void
  override destroy(err: Error | null, callback: () => void): void
  override destroy(first?: Error | null | (() => void), second?: () => void): Promise<void> | void {
    const callback = typeof first === 'function' ? first : second
    const err = typeof first === 'function' ? null : (first ?? null)
    const destroyed = Promise.all([this.#http.destroy(err), this.#https.destroy(err)]).then(() => undefined)
    if (callback === undefined) return destroyed
    void destroyed.then(callback)
  }
}

/**
 * undici takes a proxy that hangs up on CONNECT for a connection that was lost, and connects again for ever (seen with
 * 7.30): what fails here is told under a name that it does not take for that.
 */
function tunnelling(pool: Pool): Dispatcher {
  const connect = (to: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData> =>
    new Promise((resolve, reject) => {
      Pool.prototype.connect.call(pool, to, (err, data) => (err === null ? resolve(data) : reject(err)))
    })
  return Object.assign(pool, {
    connect: async (to: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData> => {
      const answer = await connect(to).catch((err: unknown) => {
        throw new ProxyRefusal(`the proxy did not tunnel to ${to.path}`, { cause: err })
      })
      if (answer.statusCode === 200) return answer
      answer.socket.on('error', () => undefined).destroy()
      throw new ProxyRefusal(`the proxy answered ${answer.statusCode} to CONNECT ${to.path}`)
    },
  })
}

/**
 * One request. undici's signal does not reach a request that still waits for its connection: here it ends the waiting
 * at once, and the connection ends by its own timeout. Throws what undici throws, and the signal's reason.
 */
export async function requestVia(
  url: string | URL,
  options: Parameters<typeof request>[1] & { readonly signal: AbortSignal },
): Promise<Dispatcher.ResponseData<unknown>> {
  const { signal } = options
  signal.throwIfAborted()
  const answer = request(url, options)
  let abort = (): void => undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([answer, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
    // Nobody waits for it any more where the signal came first.
    answer.catch(() => undefined)
  }
}
