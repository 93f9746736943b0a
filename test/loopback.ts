import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A server on this machine that a test tells how to behave. */
export interface Loopback {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  readonly host: string
  /** Every request so far, in order. */
  readonly requests: readonly IncomingMessage[]
  /** Connections that are open now. */
  connections(): number
  close(): Promise<void>
}

/** Serves `handler` on a free port of loopback; `nth` counts requests to the same path from 1. */
export async function serveLoopback(
  handler: (req: IncomingMessage, res: ServerResponse, nth: number) => void,
): Promise<Loopback> {
  const requests: IncomingMessage[] = []
  const counts = new Map<string, number>()
  const sockets = new Set<Socket>()
  const listener: RequestListener = (req, res) => {
    const path = req.url ?? '/'
    const nth = (counts.get(path) ?? 0) + 1
    counts.set(path, nth)
    requests.push(req)
    handler(req, res, nth)
  }
  const server = createServer(listener)
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${host}`,
    host,
    requests,
    connections: () => sockets.size,
    close: () =>
      new Promise((resolve, reject) => {
        for (const socket of sockets) socket.destroy()
        if (server.listening) server.close((err) => (err === undefined ? resolve() : reject(err)))
        else resolve()
      }),
  }
}

/** Sends `bytes` as a well-behaved static server does: validators, ranges with `If-Range`, 304. */
export function sendStatic(
  req: IncomingMessage,
  res: ServerResponse,
  bytes: Uint8Array,
  validators: { readonly etag?: string; readonly lastModified?: string } = {},
): void {
  if (validators.etag !== undefined) res.setHeader('etag', validators.etag)
  if (validators.lastModified !== undefined) res.setHeader('last-modified', validators.lastModified)
  const noneMatch = req.headers['if-none-match']
  const since = req.headers['if-modified-since']
  if (
    (noneMatch !== undefined && noneMatch === validators.etag) ||
    (since !== undefined && since === validators.lastModified)
  ) {
    res.writeHead(304).end()
    return
  }
  const range = /^bytes=(\d+)-$/.exec(req.headers.range ?? '')
  const ifRange = req.headers['if-range']
  const same = ifRange === undefined || ifRange === validators.etag || ifRange === validators.lastModified
  if (range !== null && same) {
    const start = Number(range[1])
    res.setHeader('content-range', `bytes ${start}-${bytes.byteLength - 1}/${bytes.byteLength}`)
    res.setHeader('content-length', bytes.byteLength - start)
    res.writeHead(206).end(bytes.subarray(start))
    return
  }
  res.setHeader('content-length', bytes.byteLength)
  res.writeHead(200).end(bytes)
}

/** Announces all of `bytes`, sends the first `count` of them, and breaks the connection. */
export function breakAfter(res: ServerResponse, bytes: Uint8Array, count: number): void {
  res.setHeader('content-length', bytes.byteLength)
  res.writeHead(200)
  res.write(bytes.subarray(0, count), () => setTimeout(() => res.destroy(), 20))
}
