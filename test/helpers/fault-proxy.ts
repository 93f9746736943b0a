import { request as httpRequest, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { serveLoopback } from '../loopback.ts'

/** What the server behind the proxy answered, and where the proxy is to answer something else. */
export interface FaultyExchange {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Path and query as they were asked for. */
  readonly path: string
  readonly conditional: boolean
  readonly res: ServerResponse
}

/** A way in which a mirror is ill: answers in place of the server behind the proxy. */
export type Fault = (exchange: FaultyExchange) => void

export interface FaultRule {
  /** Of paths. */
  readonly on: RegExp
  readonly fault: Fault
  /** So many requests are hit, the first ones; all by default. */
  readonly times?: number
}

/** A mirror in front of a healthy one, ill as a test wants it. */
export interface FaultProxy {
  readonly url: string
  /** Paths asked for so far. */
  readonly paths: readonly string[]
  /** How many requests were hit since the last change. */
  hits(): number
  /** From now on ill in this way, and in no other. */
  infect(rule: FaultRule): void
  heal(): void
  close(): Promise<void>
}

/** Starts a proxy on a free port of loopback; `upstream` is the base URL of a server on this machine. */
export async function startFaultProxy(upstream: string): Promise<FaultProxy> {
  const paths: string[] = []
  let rule: FaultRule | null = null
  let hits = 0
  const server = await serveLoopback((req, res) => {
    const path = req.url ?? '/'
    paths.push(path)
    const ill = rule?.on.test(decodeURIComponent(path)) === true
    const { host } = req.headers
    // The server behind is to tell the whole of what the ill one is to spoil.
    get(upstream, path, ill ? { host } : req.headers).then(
      ({ status, headers: said, body }) => {
        const headers = ownHeaders(said)
        // What is not there is not there at an ill mirror either.
        if (rule === null || !ill || status !== 200 || hits >= (rule.times ?? Infinity)) {
          res.writeHead(status, headers).end(body)
          return
        }
        hits++
        const { 'if-none-match': etag, 'if-modified-since': date } = req.headers
        rule.fault({ headers, body, path, conditional: (etag ?? date) !== undefined, res })
      },
      () => res.destroy(),
    )
  })
  return {
    url: server.url,
    paths,
    hits: () => hits,
    infect: (next) => {
      rule = next
      hits = 0
    },
    heal: () => (rule = null),
    close: () => server.close(),
  }
}

/** Any status, with what belongs to it. */
export function status(code: number, headers: Record<string, string> = {}): Fault {
  return ({ res }) => void res.writeHead(code, headers).end('ill')
}

/** No answer at all. */
export const silence: Fault = () => undefined

/** The first half, then nothing more. */
export const stall: Fault = ({ res, headers, body }) => {
  res.writeHead(200, { ...headers, 'content-length': body.byteLength })
  res.write(half(body))
}

/** The first half, then a reset connection. */
export const reset: Fault = ({ res, headers, body }) => {
  res.writeHead(200, { ...headers, 'content-length': body.byteLength })
  res.write(half(body), () => setTimeout(() => res.socket?.resetAndDestroy(), 20))
}

/** The first half as if it were all. */
export const truncated: Fault = ({ res, headers, body }) =>
  void res.writeHead(200, { ...headers, 'content-length': half(body).byteLength }).end(half(body))

/** One byte in the middle is another. */
export const corrupt: Fault = ({ res, headers, body }) => {
  const bytes = Buffer.from(body)
  const at = bytes.byteLength >> 1
  bytes[at] = (bytes[at] ?? 0) ^ 0xff
  res.writeHead(200, { ...headers, 'content-length': bytes.byteLength }).end(bytes)
}

/** All of it under a length that is wrong by so many bytes. */
export function wrongLength(byBytes: number): Fault {
  return ({ res, headers, body }) =>
    void res.writeHead(200, { ...headers, 'content-length': body.byteLength + byBytes }).end(body)
}

/** A redirect to itself, for ever. */
export const redirectLoop: Fault = ({ res, path }) => void res.writeHead(302, { location: path }).end()

/** A redirect to a mirror that nobody answers for. */
export const redirectToDead: Fault = ({ res, path }) =>
  void res.writeHead(302, { location: `http://127.0.0.1:9${path}` }).end()

/** A page for people, as captive portals answer anything with. */
export const captivePortal: Fault = ({ res }) =>
  void res.writeHead(200, { 'content-type': 'text/html' }).end('<html><a href="/login">log in</a></html>')

/** A gigabyte of nothing, in a megabyte that says it is only coded for the way. */
export const gzipBomb: Fault = ({ res }) => {
  const coded = Buffer.concat(Array.from({ length: 16 }, () => BOMB_PART))
  res.writeHead(200, { 'content-encoding': 'gzip', 'content-length': coded.byteLength }).end(coded)
}
const BOMB_PART = gzipSync(Buffer.alloc(64 << 20))

/** Breaks off, and goes on with other bytes under the same ETag when asked for the rest. */
export function lyingEtag(): Fault {
  let broken = false
  return ({ res, headers, body }) => {
    const said = { ...headers, etag: '"the-same"' }
    const at = half(body).byteLength
    if (!broken) {
      broken = true
      res.writeHead(200, { ...said, 'content-length': body.byteLength })
      res.write(half(body), () => setTimeout(() => res.socket?.resetAndDestroy(), 20))
      return
    }
    const rest = Buffer.alloc(body.byteLength - at, 0x5a)
    const range = `bytes ${at}-${body.byteLength - 1}/${body.byteLength}`
    res.writeHead(206, { ...said, 'content-range': range, 'content-length': rest.byteLength }).end(rest)
  }
}

/** Says that nothing has changed to whoever remembers anything. */
export const alwaysUnchanged: Fault = ({ res, headers, body, conditional }) => {
  const said = { ...headers, etag: '"the-same"' }
  if (conditional) res.writeHead(304, said).end()
  else res.writeHead(200, { ...said, 'content-length': body.byteLength }).end(body)
}

function half(body: Buffer): Buffer {
  return body.subarray(0, body.byteLength >> 1)
}

/** What is about the connection to the server behind is not about that to the client. */
function ownHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection: _connection, 'transfer-encoding': _transfer, ...rest } = headers
  return rest
}

async function get(
  upstream: string,
  path: string,
  headers: IncomingHttpHeaders,
): Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }> {
  return await new Promise((resolve, reject) => {
    const { hostname, port } = new URL(upstream)
    // Neither is kept open: a test that closes the proxy waits for nobody.
    const req = httpRequest({ hostname, port, path, headers: { ...headers, connection: 'close' } }, (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk: Buffer) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () =>
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks) }),
      )
    })
    req.on('error', reject)
    req.end()
  })
}
