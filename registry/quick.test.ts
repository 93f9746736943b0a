import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HotAnswers } from './hot-answers.ts'
import { Metrics } from './metrics.ts'
import { noRateLimits, RateLimiter } from './rate-limit.ts'
import { parseSimpleGet, QuickAnswers, type QuickHub } from './quick.ts'

const HOST = 'Host: hub.example'
const BODY = Buffer.from([0x9f, 0xeb, 1, 0, 0xff, 0])
/** As large as what is answered quickly can be. */
const PAGE = Buffer.alloc(16 * 1024, 0xfe)

function get(url: string, ...headers: string[]): string {
  return `GET ${url} HTTP/1.1\r\n${[HOST, ...headers].join('\r\n')}\r\n\r\n`
}

describe('a simple GET', () => {
  it.each([
    [get('/a'), '/a', null],
    [
      get('/v1/btf/6.1.0%2Bx?arch=arm64', 'User-Agent: a b', 'Accept: */*'),
      '/v1/btf/6.1.0%2Bx?arch=arm64',
      null,
    ],
    [get('/a', 'accept-encoding: gzip, br', 'connection: Keep-Alive'), '/a', 'gzip, br'],
    [`GET /a HTTP/1.1\r\nhost:hub.example\r\n\r\n`, '/a', null],
  ])('%j', (head, url, acceptEncoding) => {
    expect(parseSimpleGet(head)).toEqual({ url, acceptEncoding })
  })

  it.each([
    '',
    'GET /a HTTP/1.1\r\n\r\n',
    `HEAD /a HTTP/1.1\r\n${HOST}\r\n\r\n`,
    `GET /a HTTP/1.0\r\n${HOST}\r\n\r\n`,
    `GET http://hub.example/a HTTP/1.1\r\n${HOST}\r\n\r\n`,
    `GET /a b HTTP/1.1\r\n${HOST}\r\n\r\n`,
    `GET /a\u00e9 HTTP/1.1\r\n${HOST}\r\n\r\n`,
    `GET /a HTTP/1.1\n${HOST}\n\n`,
    `GET /a HTTP/1.1\r\n${HOST}\r\n`,
    get('/a').slice(0, -1),
    `\r\n${get('/a')}`,
    get('/a') + get('/a'),
    `${get('/a')}x`,
    get('/a', HOST),
    get('/a', 'host: other.example'),
    get('/a', 'Range: bytes=0-1'),
    get('/a', 'If-None-Match: "x"'),
    get('/a', 'Content-Length: 4'),
    get('/a', 'Transfer-Encoding: chunked'),
    get('/a', 'Expect: 100-continue'),
    get('/a', 'Connection: close'),
    get('/a', 'Connection: keep-alive, upgrade'),
    get('/a', 'Upgrade: h2c'),
    get('/a', 'Authorization: Bearer x'),
    get('/a', 'X-Forwarded-For: 192.0.2.1'),
    get('/a', 'User-Agent: a', ' folded'),
    get('/a', 'User-Agent : a'),
    get('/a', 'User-Agent: a\u0000b'),
    get('/a', 'User-Agent: a\rX: b'),
    get('/a', 'User-Agent: a\nX: b'),
    get('/a', 'User-Agent: '),
    get('/a', 'nothing'),
  ])('is not %j', (head) => {
    expect(parseSimpleGet(head)).toBeNull()
  })
})

describe('in front of a server', () => {
  const hub = {
    limiter: new RateLimiter(noRateLimits),
    snapshots: { current: { id: 1 } },
    hot: new HotAnswers(1024 * 1024),
    metrics: new Metrics(),
    draining: false,
  }
  let server: Server
  let quick: QuickAnswers
  let port: number
  /** What Node's server was asked. */
  let slow: string[]
  const clients: Socket[] = []
  /** The server's ends of connections, by the port of the other end. */
  const taken = new Map<number, Socket>()

  beforeEach(async () => {
    slow = []
    Object.assign(hub, {
      limiter: new RateLimiter(noRateLimits),
      snapshots: { current: { id: 1 } },
      hot: new HotAnswers(1024 * 1024),
      draining: false,
    })
    hub.hot.remember('/hot', undefined, 1, { headers: headersOf(BODY), body: BODY })
    const large = Buffer.alloc(100_000, 7)
    hub.hot.remember('/large', undefined, 1, { headers: headersOf(large), body: large })
    hub.hot.remember('/page', undefined, 1, { headers: headersOf(PAGE), body: PAGE })
    server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        slow.push(`${request.method} ${request.url} ${body}`)
        const sent = request.url === '/page' ? PAGE : BODY
        response.writeHead(200, { ...headersOf(sent), From: 'slow' })
        response.end(request.method === 'HEAD' ? undefined : sent)
      })
    })
    quick = new QuickAnswers(hub as unknown as QuickHub, {
      headersTimeoutMs: 400,
      keepAliveTimeoutMs: 65_000,
    })
    quick.attach(server)
    server.on('connection', (socket: Socket) => taken.set(socket.remotePort ?? 0, socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })

  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy()
    quick.destroy()
    server.closeAllConnections()
    server.close()
  })

  function headersOf(body: Buffer): Record<string, string> {
    return {
      'Content-Type': 'application/octet-stream',
      'Content-Length': String(body.byteLength),
      ETag: '"e"',
    }
  }

  function open(): { readonly socket: Socket; readonly answers: () => string[] } {
    const socket = connect(port, '127.0.0.1').setNoDelay(true)
    clients.push(socket)
    let text = ''
    socket.on('error', () => {}).on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    return { socket, answers: () => text.split(/(?=HTTP\/1\.1 )/).filter(Boolean) }
  }

  async function ask(...pieces: string[]): Promise<string[]> {
    const { socket, answers } = open()
    const wanted = pieces.join('').match(/(GET|HEAD|POST) /g)?.length ?? 0
    await once(socket, 'connect')
    let sent = 0
    for (const piece of pieces) {
      socket.write(piece, 'latin1')
      sent += piece.length
      // The next piece is only sent when this one has been read, so that it comes by itself.
      await expect.poll(() => taken.get(socket.localPort ?? 0)?.bytesRead, { interval: 1 }).toBe(sent)
    }
    await expect.poll(() => answers().length, { interval: 1, timeout: 10_000 }).toBe(wanted)
    // What is wrong may also be too much.
    await sleep(5)
    return answers()
  }

  const withoutDate = (answer: string | undefined): string | undefined =>
    answer?.replace(/Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/, 'Date\r\n')

  it('gives what Node’s server would, in the same words', async () => {
    const [first, second] = await ask(get('/hot'), get('/hot'))
    const [other] = await ask(get('/hot', 'X-Any: thing'))
    expect(slow).toEqual(['GET /hot '])
    expect(withoutDate(first)).toContain('\r\nDate\r\n')
    expect(withoutDate(first)).toBe(withoutDate(second))
    const lines = (text: string | undefined): string[] | undefined => withoutDate(text)?.split('\r\n').sort()
    expect(lines(first)).toEqual(lines(other)?.filter((line) => line !== 'From: slow'))
    expect(first?.endsWith(`\r\n\r\n${BODY.toString('latin1')}`)).toBe(true)
  })

  it.each([
    ['what is not hot', [get('/cold')], ['GET /cold ']],
    ['what is hot but large', [get('/large')], ['GET /large ']],
    ['HEAD', [`HEAD /hot HTTP/1.1\r\n${HOST}\r\n\r\n`], ['HEAD /hot ']],
    ['a request in two pieces', ['GET /hot HT', `TP/1.1\r\n${HOST}\r\n\r\n`], ['GET /hot ']],
    ['two requests in one piece', [get('/hot') + get('/hot')], ['GET /hot ', 'GET /hot ']],
    ['other encodings', [get('/hot', 'Accept-Encoding: br')], ['GET /hot ']],
    [
      'a body behind quick answers, and what follows it',
      [get('/hot'), `POST /x HTTP/1.1\r\n${HOST}\r\nContent-Length: 5\r\n\r\nab`, 'cde', get('/hot')],
      ['POST /x abcde', 'GET /hot '],
    ],
  ])('leaves to it %s', async (_, pieces, expected) => {
    const answers = await ask(...pieces)
    expect(slow).toEqual(expected)
    expect(answers.every((answer) => answer.startsWith('HTTP/1.1 200 OK\r\n'))).toBe(true)
  })

  it('answers every request of a connection once and in order, however it is cut', async () => {
    const requests = [
      get('/hot'),
      get('/page'),
      get('/cold'),
      get('/hot'),
      `HEAD /hot HTTP/1.1\r\n${HOST}\r\n\r\n`,
    ]
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(requests.join('').length), { maxLength: 4 }), async (cuts) => {
        const text = requests.join('')
        const ends = [...cuts.sort((a, b) => a - b), text.length]
        const pieces = ends.map((end, i) => text.slice(i === 0 ? 0 : ends[i - 1], end)).filter(Boolean)
        const sizes = (await ask(...pieces)).map((answer) => answer.split('\r\n\r\n')[1]?.length)
        expect(sizes).toEqual([BODY.length, PAGE.length, BODY.length, BODY.length, 0])
      }),
      { numRuns: 12 },
    )
  })

  it('gives nothing of an older snapshot', async () => {
    await ask(get('/hot'))
    expect(slow).toEqual([])
    Object.assign(hub.snapshots, { current: { id: 2 } })
    await ask(get('/hot'))
    expect(slow).toEqual(['GET /hot '])
  })

  it('counts what it answers', async () => {
    const before = { ...hub.metrics }
    await ask(get('/hot'), get('/hot'))
    expect(hub.metrics.hotHits - before.hotHits).toBe(2)
    expect(hub.metrics.bodyBytes - before.bodyBytes).toBe(2 * BODY.length)
  })

  it('does not listen to who takes no answers', async () => {
    const { socket } = open()
    socket.pause()
    const before = hub.metrics.hotHits
    // All answers would be 32 MB; what the kernel holds of a connection is some.
    for (let sent = 0; sent < 2000; sent++) {
      socket.write(get('/page'))
      await setImmediate()
    }
    await sleep(50)
    const given = hub.metrics.hotHits - before + slow.length
    expect(given).toBeGreaterThan(0)
    expect(given).toBeLessThan(1200)
    socket.destroy()
  })

  it('hangs up on who says nothing, and ends idle connections when it is to stop', async () => {
    const { socket } = open()
    await once(socket, 'close')
    const idle = open()
    idle.socket.write(get('/hot'))
    await once(idle.socket, 'data')
    hub.draining = true
    const closed = once(idle.socket, 'close')
    server.close()
    quick.end()
    await closed
  })
})
