import { connect } from 'node:net'

export interface AgentsReport {
  /** What went wrong, once each. */
  readonly errors: readonly string[]
  /** From the moment that all begin to each one's last byte, in order. */
  readonly latenciesMs: readonly number[]
}

/**
 * As many agents as there are paths, all in the same moment: each opens a connection, asks for its path as curl does,
 * takes the whole answer and hangs up.
 */
export async function startAgents(url: string, paths: readonly string[]): Promise<AgentsReport> {
  const { hostname, port, host } = new URL(url)
  const errors = new Set<string>()
  const latenciesMs: number[] = []
  const start = performance.now()
  await Promise.all(
    paths.map(async (path) => {
      const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: curl/7.29.0\r\nAccept: */*\r\n\r\n`
      const failure = await ask(hostname, Number(port), request)
      if (failure !== null) errors.add(failure)
      latenciesMs.push(performance.now() - start)
    }),
  )
  return { errors: [...errors], latenciesMs: latenciesMs.sort((a, b) => a - b) }
}

/** What is wrong with the answer; null where it is 200 and whole. */
function ask(hostname: string, port: number, request: string): Promise<string | null> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(port, hostname, () => socket.write(request))
    const end = (failure: string | null): void => {
      socket.destroy()
      resolve(failure)
    }
    socket.on('error', (err) => end(err.message)).on('close', () => end('hung up'))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const [head = '', body] = text.split('\r\n\r\n', 2)
      if (body === undefined) return
      if (!head.startsWith('HTTP/1.1 200 ')) end(head.split('\r\n', 1)[0] ?? '')
      else if (body.length === Number(/^content-length: (\d+)$/im.exec(head)?.[1])) end(null)
    })
  })
}

/** The value below which so many of all lie. */
export function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN
}
