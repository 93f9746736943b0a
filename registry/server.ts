import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import { hotEntry } from './access-log.ts'
import { createApp } from './app.ts'
import { createHub, type Hub, type RegistryDeps } from './hub.ts'
import { QuickAnswers } from './quick.ts'

/** Bounds on connections; requests' bodies are bounded by the routes. */
export interface ServerLimits {
  /** All headers of a request. */
  readonly maxHeaderBytes: number
  /** From the first byte of a request to the end of its headers: against clients that trickle. */
  readonly headersTimeoutMs: number
  /** The same to the end of the body. */
  readonly requestTimeoutMs: number
  /** How long an idle connection is kept; above the 60 s of common load balancers. */
  readonly keepAliveTimeoutMs: number
  /** A connection that takes nothing of its answer for so long is given up. */
  readonly idleTimeoutMs: number
  readonly maxConnections: number
  /** How long `/readyz` says no before new connections are refused; 0 where nobody balances load. */
  readonly drainNoticeMs: number
  /** What is under way when the hub is to stop has so long to end. */
  readonly drainMs: number
}

export const defaultServerLimits: ServerLimits = {
  maxHeaderBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 65_000,
  idleTimeoutMs: 120_000,
  maxConnections: 20_000,
  drainNoticeMs: 0,
  drainMs: 10_000,
}

export interface ServerOptions {
  readonly host: string
  /** 0 for any. */
  readonly port: number
  readonly limits?: Partial<ServerLimits>
  /** How often the catalog is looked at for changes. */
  readonly pollMs?: number
}

/** A registry that listens. */
export interface RunningRegistry {
  /** `http://127.0.0.1:8080`. */
  readonly url: string
  readonly port: number
  readonly hub: Hub
  /** Takes no more connections, ends what is under way, and resolves when all is over. May be called again. */
  stop(): Promise<void>
}

const POLL_MS = 250
/** Connections that wait to be taken, as far as the system lets it (net.core.somaxconn): a fleet may start at once. */
const BACKLOG = 16_384
/** How often a hub that stops looks for connections that have become idle. */
const SWEEP_MS = 100

/** Loads the catalog and listens. Throws what the catalog or the socket throws (`EADDRINUSE`). */
export async function startRegistry(deps: RegistryDeps, options: ServerOptions): Promise<RunningRegistry> {
  const limits = { ...defaultServerLimits, ...options.limits }
  const hub = createHub(deps)
  await hub.snapshots.get()
  const underWay = new Set<Promise<void>>()
  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, limits.headersTimeoutMs),
      noDelay: true,
    },
    requestListener(hub, underWay),
  )
  server.maxConnections = limits.maxConnections
  server.timeout = limits.idleTimeoutMs
  const quick = new QuickAnswers(hub, limits)
  quick.attach(server)
  await listen(server, options)
  hub.snapshots.start(options.pollMs ?? POLL_MS)
  // What was broken off when it was last stopped.
  hub.toolWork.wake()
  const { port } = server.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  let stopped: Promise<void> | null = null
  return {
    url: `http://${host}:${port}`,
    port,
    hub,
    stop: () => (stopped ??= drain(hub, server, quick, underWay, limits)),
  }
}

/** Hot answers first, everything else through the app. */
function requestListener(hub: Hub, underWay: Set<Promise<void>>): RequestListener {
  const app = createApp(hub)
  const viaApp = getRequestListener((request, env) => app.fetch(request, env), {
    overrideGlobalObjects: false,
  })
  return (incoming, outgoing) => {
    if (hub.draining) outgoing.setHeader('Connection', 'close')
    if (sendHot(hub, incoming, outgoing)) return
    const answering = viaApp(incoming, outgoing).finally(() => underWay.delete(answering))
    underWay.add(answering)
  }
}

/**
 * Answers a GET or HEAD from memory where a whole answer to exactly this is there. It is the same answer that the app
 * made and would make again, without its routing; false where there is none.
 */
function sendHot(hub: Hub, incoming: IncomingMessage, outgoing: ServerResponse): boolean {
  const { method, url } = incoming
  if ((method !== 'GET' && method !== 'HEAD') || url === undefined) return false
  const snapshot = hub.snapshots.current
  const answer = snapshot === null ? undefined : hub.hot.find(url, incoming.headers, snapshot.id)
  if (answer === undefined || !hub.limiter.admitsHot(incoming)) return false
  hub.access?.write(hotEntry(method, url, answer.body.length, hub.limiter.clientOf(incoming)))
  hub.metrics.hotHits++
  if (method === 'GET') hub.metrics.bodyBytes += answer.body.length
  outgoing.writeHead(200, answer.headers as string[])
  outgoing.end(method === 'GET' ? answer.body : undefined, 'latin1')
  return true
}

function listen(server: Server, options: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, BACKLOG, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/**
 * Says that it is not ready any more, for a while before it takes no more connections, so that who balances load has
 * seen it. What is under way ends, or is broken off after `drainMs`. Who asked may be gone while their answer is still
 * being made: it must not outlive the store that it reads.
 */
async function drain(
  hub: Hub,
  server: Server,
  quick: QuickAnswers,
  underWay: ReadonlySet<Promise<void>>,
  limits: Pick<ServerLimits, 'drainNoticeMs' | 'drainMs'>,
): Promise<void> {
  hub.draining = true
  await sleep(limits.drainNoticeMs)
  hub.snapshots.stop()
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  quick.end()
  // A connection whose answer began before the end was known is kept alive by it.
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS)
  const timer = setTimeout(() => {
    quick.destroy()
    server.closeAllConnections()
  }, limits.drainMs)
  await hub.justInTime.close()
  await closed
  clearTimeout(timer)
  clearInterval(sweep)
  await hub.checks.close()
  await hub.bundles.close()
  await hub.objectMins.close()
  await hub.toolWork.close()
  await hub.minBtfs.close()
  await Promise.allSettled(underWay)
  await hub.types.close()
  await hub.tarCatalog.settle()
  await hub.derived.settle()
}
