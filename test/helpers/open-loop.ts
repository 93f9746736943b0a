import { Agent, request } from 'undici'

/**
 * Asks for a URL at a steady pace, however long answers take, until `until` is settled; the time of each in
 * milliseconds, in order, from the moment that it was due: a server that stands still for a second is late for all who
 * would have come meanwhile. Throws where an answer is none of 200.
 */
export async function askSteadily(
  url: string,
  perSecond: number,
  until: Promise<unknown>,
): Promise<readonly number[]> {
  const dispatcher = new Agent({ connections: 64 })
  const latenciesMs: number[] = []
  const asked: Promise<void>[] = []
  let isOver = false
  const end = (): void => void (isOver = true)
  until.then(end, end)
  const start = performance.now()
  for (let i = 0; !isOver; i++) {
    const due = start + (i * 1000) / perSecond
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())))
    asked.push(
      request(url, { dispatcher }).then(async ({ statusCode, body }) => {
        await body.arrayBuffer()
        if (statusCode !== 200) throw new Error(`${url}: ${statusCode}`)
        latenciesMs.push(performance.now() - due)
      }),
    )
  }
  try {
    await Promise.all(asked)
  } finally {
    await dispatcher.close()
  }
  return latenciesMs.sort((a, b) => a - b)
}
