import { type Server, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { RecentCache } from '../core/recent-cache.ts'
import { hotEntry } from './access-log.ts'
import type { HotAnswer } from './hot-answers.ts'
import type { Hub } from './hub.ts'

/** What of a hub it needs. */
export type QuickHub = Pick<Hub, 'snapshots' | 'hot' | 'metrics' | 'draining' | 'limiter' | 'access'>

/** How long a connection may be silent. */
export interface QuickTimeouts {
  /** Before its first request. */
  readonly headersTimeoutMs: number
  /** After an answer. */
  readonly keepAliveTimeoutMs: number
}

/** Agents' request heads have 100 to 300 bytes; what is longer is not worth remembering. */
const MAX_HEAD_BYTES = 1024
/** What the heads that are remembered may weigh: some 10,000 agents' of one kind. */
const MAX_HEADS_BYTES = 16 * 1024 * 1024
/** What an entry weighs besides the head. */
const OVERHEAD_BYTES = 256

/**
 * Answers small hot GETs without Node's HTTP server, which costs more than everything else about them: agents of one
 * kind send the same bytes for the same URL, so a request that came whole in one piece is looked up by its bytes.
 * A connection whose request is anything else goes to the HTTP server, that request first, and stays there: what HTTP
 * means is decided there alone. (The server's own listener for connections is what it is given to; Node documents that
 * connections may be injected: http, event 'connection'.)
 */
export class QuickAnswers {
  readonly #hub: QuickHub
  readonly #timeouts: QuickTimeouts
  readonly #heads = new RecentCache<QuickAnswer>(MAX_HEADS_BYTES)
  readonly #sockets = new Set<Socket>()
  readonly #clock = new HttpClock()

  constructor(hub: QuickHub, timeouts: QuickTimeouts) {
    this.#hub = hub
    this.#timeouts = timeouts
  }

  /** Puts itself in front of a server that does not listen yet. */
  attach(server: Server): void {
    const slow = server.listeners('connection') as ((this: Server, socket: Socket) => void)[]
    server.removeAllListeners('connection')
    server.on('connection', (socket: Socket) => {
      this.#serve(socket, () => {
        for (const listener of slow) listener.call(server, socket)
      })
    })
  }

  /** Ends its connections, on which nothing is under way but answers that are not taken yet. */
  end(): void {
    for (const socket of this.#sockets) socket.end()
  }

  /** Does not wait for those either. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #serve(socket: Socket, handOver: () => void): void {
    const leave = (): void => {
      this.#sockets.delete(socket)
      socket.off('data', onData).off('drain', onDrain).off('end', onEnd).off('timeout', onTimeout)
      socket.off('error', onError).off('close', leave).setTimeout(0)
    }
    const onData = (chunk: Buffer): void => {
      const answer = this.#find(chunk, socket)
      if (answer === null) {
        leave()
        socket.unshift(chunk)
        handOver()
        return
      }
      if (socket.timeout !== this.#timeouts.keepAliveTimeoutMs) {
        socket.setTimeout(this.#timeouts.keepAliveTimeoutMs)
      }
      // Who sends requests and takes no answers is not listened to until they do.
      if (!socket.write(answer, 'latin1')) socket.pause()
    }
    const onDrain = (): void => void socket.resume()
    const onEnd = (): void => void socket.end()
    const onTimeout = (): void => void socket.destroy()
    const onError = (): void => void socket.destroy()
    this.#sockets.add(socket)
    socket.setTimeout(this.#timeouts.headersTimeoutMs)
    socket.on('data', onData).on('drain', onDrain).on('end', onEnd).on('timeout', onTimeout)
    socket.on('error', onError).on('close', leave)
  }

  /** The whole answer as latin1; null where the HTTP server has to say something. */
  #find(chunk: Buffer, socket: Socket): string | null {
    const snapshot = this.#hub.snapshots.current
    if (snapshot === null || this.#hub.draining || chunk.byteLength > MAX_HEAD_BYTES) return null
    const head = chunk.toString('latin1')
    let quick = this.#heads.get(head)
    if (quick?.snapshotId !== snapshot.id) {
      const made = this.#make(head, snapshot.id)
      if (made === null) return null
      quick = made
      this.#heads.set(head, quick, head.length + OVERHEAD_BYTES)
    }
    const { metrics, limiter, access } = this.#hub
    if (!limiter.admitsHot({ socket, headers: {} })) return null
    access?.write(hotEntry('GET', quick.url, quick.body.length, limiter.clientOf({ socket, headers: {} })))
    metrics.hotHits++
    metrics.bodyBytes += quick.body.length
    return `${quick.head}Date: ${this.#clock.now()}\r\n\r\n${quick.body}`
  }

  #make(head: string, snapshotId: number): QuickAnswer | null {
    const request = parseSimpleGet(head)
    if (request === null) return null
    const { url, acceptEncoding } = request
    const answer = this.#hub.hot.find(
      url,
      acceptEncoding === null ? {} : { 'accept-encoding': acceptEncoding },
      snapshotId,
    )
    if (answer === undefined || typeof answer.body !== 'string') return null
    return { snapshotId, url, head: formatHead(answer, this.#timeouts), body: answer.body }
  }
}

interface QuickAnswer {
  readonly snapshotId: number
  readonly url: string
  /** Up to the date. */
  readonly head: string
  readonly body: string
}

/** What Node's server would send for the same answer, up to the date. */
function formatHead({ headers }: HotAnswer, { keepAliveTimeoutMs }: QuickTimeouts): string {
  const lines: string[] = [`HTTP/1.1 200 ${STATUS_CODES[200]}`]
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
  lines.push('Connection: keep-alive', `Keep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1000)}`, '')
  return lines.join('\r\n')
}

/** Headers that change nothing about an answer that is found by URL and accepted encodings. */
const PLAIN_HEADERS: ReadonlySet<string> = new Set([
  'host',
  'user-agent',
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'pragma',
  'connection',
])

/**
 * A request that is a GET of HTTP/1.1, whole, alone, without a body, and with such headers only, each once; null for
 * any other, be it good or bad.
 */
export function parseSimpleGet(
  head: string,
): { readonly url: string; readonly acceptEncoding: string | null } | null {
  const [first = '', ...lines] = head.split('\r\n')
  const url = /^GET (\/[!-~]*) HTTP\/1\.1$/.exec(first)?.[1]
  if (url === undefined || lines.pop() !== '' || lines.pop() !== '') return null
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, rawName = '', value = ''] = /^([A-Za-z-]+): ?([!-~](?:[ -~]*[!-~])?)$/.exec(line) ?? []
    const name = rawName.toLowerCase()
    if (!PLAIN_HEADERS.has(name) || headers.has(name)) return null
    headers.set(name, value)
  }
  const connection = headers.get('connection')?.toLowerCase() ?? 'keep-alive'
  if (!headers.has('host') || connection !== 'keep-alive') return null
  return { url, acceptEncoding: headers.get('accept-encoding') ?? null }
}

/** The time as `Date` has it (RFC 9110 5.6.7), formatted once a second. */
class HttpClock {
  #second = -1
  #text = ''

  now(): string {
    const ms = Date.now()
    const second = Math.floor(ms / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#text = new Date(ms).toUTCString()
    }
    return this.#text
  }
}
