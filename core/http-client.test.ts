import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { breakAfter, type Loopback, sendStatic, serveLoopback } from '../test/loopback.ts'
import { describeError, isAbort } from './errors.ts'
import { createHttp, type HttpBounds, type HttpClient, hubUserAgent } from './http-client.ts'
import { Meter } from './http-meter.ts'
import { HttpError } from './http.ts'
import { silentLog } from './log.ts'

const never = new AbortController().signal
const body = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251))
const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function serve(handler: Parameters<typeof serveLoopback>[0]): Promise<Loopback> {
  const server = await serveLoopback(handler)
  cleanups.push(() => server.close())
  return server
}

function client(bounds: Partial<HttpBounds> = {}, extra: object = {}): HttpClient {
  const http = createHttp({
    userAgent: hubUserAgent('https://example.org/contact'),
    hosts: { others: { concurrency: 2, delayMs: 0 }, byHost: {} },
    log: silentLog,
    env: {},
    bounds: { tries: 3, backoffBaseMs: 5, backoffMaxMs: 20, idleTimeoutMs: 300, ...bounds },
    ...extra,
  })
  cleanups.push(() => http.close())
  return http
}

async function readAll(http: HttpClient, url: string, maxBytes = 1e6): Promise<Buffer | null> {
  const stream = await http.stream(url, { signal: never, maxBytes })
  if (stream === null) return null
  const chunks: Uint8Array[] = []
  for await (const chunk of stream.bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function text(http: HttpClient, url: string): Promise<string | null> {
  const document = await http.document(url, { signal: never, maxBytes: 1e6 })
  return document === null || document === 'not-modified' ? document : Buffer.from(document.bytes).toString()
}

function failure(promise: Promise<unknown>): Promise<HttpError> {
  return promise.then(
    () => Promise.reject(new Error('expected a failure')),
    (err: unknown) => {
      if (err instanceof HttpError) return err
      throw err
    },
  )
}

describe('three outcomes', () => {
  it('gives a document with its validators and the URL it came from', async () => {
    const server = await serve((req, res) =>
      req.url === '/a'
        ? res.writeHead(302, { location: '/b' }).end()
        : sendStatic(req, res, Buffer.from('hi'), {
            etag: '"1"',
            lastModified: 'Sat, 21 Nov 2026 10:00:00 GMT',
          }),
    )
    const got = await client().document(`${server.url}/a`, { signal: never, maxBytes: 10 })
    expect(got).toEqual({
      url: `${server.url}/b`,
      bytes: Buffer.from('hi'),
      etag: '"1"',
      lastModified: 'Sat, 21 Nov 2026 10:00:00 GMT',
    })
  })

  it.each([404, 410])('gives null for %d, without another try', async (status) => {
    const server = await serve((_req, res) => res.writeHead(status).end('no'))
    expect(await text(client(), server.url)).toBeNull()
    expect(await readAll(client(), server.url)).toBeNull()
    expect(server.requests).toHaveLength(2)
  })

  it.each([400, 401, 405, 451])(
    'fails on %d without another try: asking again would change nothing',
    async (status) => {
      const server = await serve((_req, res) => res.writeHead(status).end())
      expect(await failure(text(client(), server.url))).toMatchObject({ code: 'ILL' })
      expect(server.requests).toHaveLength(1)
    },
  )

  it.each([408, 500, 502, 503])('gets over a passing %d', async (status) => {
    const server = await serve((_req, res, nth) => (nth < 3 ? res.writeHead(status).end() : res.end('well')))
    expect(await text(client(), server.url)).toBe('well')
  })

  it('says which URL failed, how and how often, when every try fails', async () => {
    const server = await serve((_req, res) => res.writeHead(503).end())
    const err = await failure(text(client(), `${server.url}/x`))
    expect(err.code).toBe('ILL')
    expect(err.message).toBe(`GET ${server.url}/x: ${server.host} answered 503 (3 tries)`)
    expect(server.requests).toHaveLength(3)
  })

  it.each(['ftp://example.org/x', 'file:///etc/passwd', 'gopher:x', 'not a url', ''])(
    'refuses %j',
    async (url) => {
      expect(await failure(text(client(), url))).toMatchObject({ code: 'BAD_URL' })
      expect(await failure(readAll(client(), url))).toMatchObject({ code: 'BAD_URL' })
    },
  )
})

describe('what it sends', () => {
  it('says who asks, and asks for the bytes as they are', async () => {
    const server = await serve((_req, res) => res.end('x'))
    await text(client(), server.url)
    expect(server.requests[0]?.headers).toMatchObject({
      'user-agent': expect.stringMatching(
        /^btfhub\/\d+\.\d+\.\d+ \(\+https:\/\/example\.org\/contact\)$/,
      ) as string,
      'accept-encoding': 'identity',
    })
  })

  it('asks conditionally where it was told validators', async () => {
    const validators = { etag: '"v1"', lastModified: null }
    const server = await serve((req, res) => sendStatic(req, res, Buffer.from('x'), { etag: '"v1"' }))
    const request = { signal: never, maxBytes: 10 }
    expect(await client().document(server.url, { ...request, validators })).toBe('not-modified')
    expect(
      await client().document(server.url, { ...request, validators: { ...validators, etag: '"v0"' } }),
    ).toMatchObject({
      etag: '"v1"',
    })
  })

  it('takes a 304 that it did not ask for as an ill host', async () => {
    const server = await serve((_req, res) => res.writeHead(304).end())
    expect(await failure(text(client(), server.url))).toMatchObject({ code: 'ILL' })
  })
})

describe('redirects', () => {
  it('follows them over hosts, and ends loops', async () => {
    const target = await serve((_req, res) => res.end('there'))
    const server = await serve((req, res) =>
      res.writeHead(307, { location: req.url === '/loop' ? '/loop' : `${target.url}/` }).end(),
    )
    expect(await text(client(), `${server.url}/away`)).toBe('there')
    const err = await failure(text(client({ maxRedirects: 3 }), `${server.url}/loop`))
    expect(err.message).toContain('more than 3 redirects')
    expect(server.requests.filter((req) => req.url === '/loop')).toHaveLength(4)
  })

  it.each(['file:///etc/passwd', 'ftp://x/', 'http://['])('does not follow one to %s', async (location) => {
    const server = await serve((_req, res) => res.writeHead(301, { location }).end())
    const err = await failure(text(client({}, { files: true }), server.url))
    expect(err).toMatchObject({ code: 'ILL' })
    expect(err.message).toContain('redirected to')
  })

  it('does not take 404 from a mirror that it was sent to for 404 from the host that it asked', async () => {
    const mirror = await serve((_req, res) => res.writeHead(404).end())
    const server = await serve((_req, res, nth) =>
      nth < 2 ? res.writeHead(302, { location: `${mirror.url}/x` }).end() : res.end('from here'),
    )
    expect(await text(client(), `${server.url}/x`)).toBe('from here')
  })
})

describe('hosts that want to be left alone', () => {
  it('leaves a host alone after 403', async () => {
    const server = await serve((_req, res) => res.writeHead(403).end())
    const other = await serve((_req, res) => res.end('fine'))
    const http = client()
    await failure(text(http, `${server.url}/1`))
    const err = await failure(text(http, `${server.url}/2`))
    expect(err.message).toContain('left alone for this run: it answered 403')
    expect(server.requests).toHaveLength(1)
    expect(await text(http, other.url)).toBe('fine')
  })

  it('waits when 429 says how long, and leaves the host alone when it does not', async () => {
    const server = await serve((req, res, nth) => {
      if (req.url === '/soon' && nth > 1) res.end('now')
      else res.writeHead(429, req.url === '/soon' ? { 'retry-after': '1' } : {}).end()
    })
    const http = client()
    const began = performance.now()
    expect(await text(http, `${server.url}/soon`)).toBe('now')
    expect(performance.now() - began).toBeGreaterThan(990)
    await failure(text(http, `${server.url}/never`))
    await failure(text(http, `${server.url}/soon`))
    expect(server.requests).toHaveLength(3)
  })

  it('does not wait for a Retry-After beyond its limit', async () => {
    const server = await serve((_req, res) => res.writeHead(503, { 'retry-after': '3600' }).end())
    const http = client()
    await failure(text(http, server.url))
    expect((await failure(text(http, server.url))).message).toContain('left alone')
    expect(server.requests).toHaveLength(1)
  })

  it('asks a host that cannot be reached only once per run', async () => {
    const gone = await serveLoopback((_req, res) => res.end())
    await gone.close()
    const http = client()
    const first = await failure(text(http, gone.url))
    expect(describeError(first)).toBe(`GET ${gone.url}/ (3 tries): connect ECONNREFUSED ${gone.host}`)
    expect((await failure(text(http, gone.url))).message).toContain('it cannot be reached')
    expect(http.stats().requests).toBe(3)
  })

  it('asks a host that does not exist only once', async () => {
    const http = client()
    const err = await failure(text(http, 'http://does-not-exist.invalid/'))
    expect(describeError(err)).toContain('invalid/: getaddrinfo ENOTFOUND')
    expect(http.stats().requests).toBe(1)
  })

  it('lets nobody wait for a turn at a host that is left alone', async () => {
    const policy = { concurrency: 1, delayMs: 60_000 }
    const http = client({}, { hosts: { others: policy, byHost: {} } })
    await failure(text(http, 'http://does-not-exist.invalid/'))
    const started = performance.now()
    for (const path of 'abc') await failure(text(http, `http://does-not-exist.invalid/${path}`))
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it.each<[string, (res: ServerResponse) => unknown]>([
    ['errors', (res) => res.writeHead(500).end()],
    ['broken bodies', (res) => breakAfter(res, body, 10)],
  ])('leaves a host alone that gives nothing but %s, but not one that recovers', async (_what, fail) => {
    const server = await serve((req, res) => (req.url === '/well' ? res.end('well') : fail(res)))
    for (const get of [text, readAll]) {
      const http = client({ tries: 1, maxFailedInRow: 2 })
      await failure(get(http, `${server.url}/1`))
      await get(http, `${server.url}/well`)
      await failure(get(http, `${server.url}/2`))
      await failure(get(http, `${server.url}/3`))
      const err = await failure(get(http, `${server.url}/well`))
      expect(err.message).toContain('left alone for this run: its answers keep failing')
      expect(http.stats().requests).toBe(4)
    }
  })
})

describe('bounds', () => {
  it('refuses more bytes than allowed, announced or not', async () => {
    const server = await serve((req, res) => {
      if (req.url === '/announced') res.setHeader('content-length', body.byteLength)
      res.end(body)
    })
    for (const path of ['/announced', '/chunked']) {
      const http = client()
      const request = { signal: never, maxBytes: 1000 }
      expect(await failure(http.document(server.url + path, request))).toMatchObject({ code: 'TOO_LARGE' })
      expect(await failure(readAll(http, server.url + path, 1000))).toMatchObject({ code: 'TOO_LARGE' })
    }
  })

  it.each(['before the head', 'in the body'])(
    'does not wait for a host that falls silent %s',
    async (where) => {
      const server = await serve((_req, res) => {
        if (where === 'in the body') res.writeHead(200, { 'content-length': 10 }).write('abc')
      })
      const began = performance.now()
      const err = await failure(text(client({ tries: 1, idleTimeoutMs: 1000 }), server.url))
      expect(err.code).toBe('ILL')
      expect(performance.now() - began).toBeLessThan(5000)
    },
  )

  it('takes a trickle for silence', async () => {
    const server = await serve((_req, res) => {
      const timer = setInterval(() => res.write('x'), 20)
      res.on('close', () => clearInterval(timer))
    })
    const err = await failure(text(client({ tries: 1, minBytesPerSecond: 1000 }), server.url))
    expect(err.message).toMatch(/\d+ bytes in \d+ ms, expected 1000 a second/)
  })

  it('lets the consumer be as slow as it likes', async () => {
    const server = await serve((req, res) => sendStatic(req, res, body))
    const http = client({ idleTimeoutMs: 100, minBytesPerSecond: 1e6 })
    const stream = await http.stream(server.url, { signal: never, maxBytes: 1e6 })
    let read = 0
    let first = true
    for await (const chunk of stream!.bytes) {
      if (first) await new Promise((resolve) => setTimeout(resolve, 400))
      first = false
      read += chunk.byteLength
    }
    expect(read).toBe(body.byteLength)
  })

  it('unpacks a gzip that it did not ask for, but not a bomb', async () => {
    const server = await serve((req, res) => {
      const inner = req.url === '/bomb' ? Buffer.alloc(5e6) : Buffer.from('plain')
      res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(inner))
    })
    expect(await text(client(), server.url)).toBe('plain')
    expect(await failure(text(client(), `${server.url}/bomb`))).toMatchObject({ code: 'TOO_LARGE' })
    expect(await failure(readAll(client(), server.url))).toMatchObject({ code: 'ILL' })
  })

  it('leaves a .gz alone that a server labels as encoded', async () => {
    const bytes = gzipSync('index')
    const server = await serve((_req, res) => res.writeHead(200, { 'content-encoding': 'x-gzip' }).end(bytes))
    expect(await readAll(client(), `${server.url}/Packages.gz`)).toEqual(bytes)
  })
})

describe('a body that breaks off', () => {
  it.each([
    ['an ETag', { etag: '"v"' }, '"v"'],
    ['a date', { lastModified: 'Sat, 21 Nov 2026 10:00:00 GMT' }, 'Sat, 21 Nov 2026 10:00:00 GMT'],
    ['only its size', {}, undefined],
    ['a weak ETag and its size', { etag: 'W/"v"' }, undefined],
  ])('is taken up by %s', async (_what, validators, ifRange) => {
    const server = await serve((req, res, nth) => {
      if (nth > 2) return sendStatic(req, res, body, validators)
      const range = /^bytes=(\d+)-$/.exec(req.headers.range ?? '')
      const start = Number(range?.[1] ?? 0)
      for (const [name, value] of Object.entries(validators)) {
        res.setHeader(name === 'lastModified' ? 'last-modified' : name, value)
      }
      res.setHeader('content-length', body.byteLength - start)
      if (range !== null)
        res.setHeader('content-range', `bytes ${start}-${body.byteLength - 1}/${body.byteLength}`)
      res.writeHead(range === null ? 200 : 206)
      return res.write(body.subarray(start, start + 70_000), () => setTimeout(() => res.destroy(), 20))
    })
    expect((await readAll(client(), server.url))?.equals(body)).toBe(true)
    expect(server.requests).toHaveLength(3)
    expect(server.requests[1]?.headers.range).toMatch(/^bytes=[1-9]\d*-$/)
    expect(server.requests[1]?.headers['if-range']).toBe(ifRange)
  })

  it('is read past what was delivered where the host knows no ranges', async () => {
    const server = await serve((_req, res, nth) => {
      if (nth < 2) breakAfter(res, body, 100_000)
      else res.writeHead(200, { 'content-length': body.byteLength }).end(body)
    })
    expect((await readAll(client(), server.url))?.equals(body)).toBe(true)
  })

  it.each([
    ['has another ETag', { etag: '"2"' }, body],
    ['has another size', {}, body.subarray(1)],
  ])('is not mixed with one that %s', async (_what, validators, later) => {
    const server = await serve((req, res, nth) => {
      if (nth > 1) return sendStatic(req, res, later, validators)
      if ('etag' in validators) res.setHeader('etag', '"1"')
      return breakAfter(res, body, 100_000)
    })
    const err = await failure(readAll(client(), server.url))
    expect(err.code).toBe('ILL')
    expect(err.message).toMatch(/cannot go on after \d+ bytes: (ETag|size) was/)
  })

  it('is not continued from another place than asked for', async () => {
    const server = await serve((_req, res, nth) => {
      if (nth === 1) return breakAfter(res, body, 100_000)
      return res
        .writeHead(206, { 'content-range': `bytes 5-${body.byteLength - 1}/${body.byteLength}` })
        .end(body.subarray(5))
    })
    expect((await failure(readAll(client(), server.url))).message).toContain('got them from 5')
  })

  it('fails when it keeps breaking without progress', async () => {
    const server = await serve((_req, res) => breakAfter(res, body, 1000))
    const err = await failure(readAll(client(), server.url))
    expect(err.code).toBe('ILL')
    expect(server.requests.length).toBeLessThanOrEqual(4)
  })

  it('is read anew where it is a document, of which nobody has seen anything', async () => {
    const server = await serve((_req, res, nth) =>
      nth < 3 ? breakAfter(res, Buffer.from('longer'), 3) : res.end('new'),
    )
    expect(await text(client(), server.url)).toBe('new')
  })

  it('is found out where the length was a lie', async () => {
    const tcp = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort'))
    })
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => new Promise((resolve) => tcp.close(resolve)))
    const url = `http://127.0.0.1:${(tcp.address() as AddressInfo).port}/`
    expect(await failure(readAll(client(), url))).toMatchObject({ code: 'ILL' })
    expect(await failure(text(client(), url))).toMatchObject({ code: 'ILL' })
  })
})

describe('connections', () => {
  let endless: Loopback

  beforeEach(async () => {
    endless = await serve((_req, res) => {
      res.setHeader('content-length', 1e9)
      const more = (): void => {
        while (!res.destroyed && res.write(body)) continue
      }
      res.on('drain', more)
      more()
    })
  })

  async function closed(server: Loopback): Promise<void> {
    const began = performance.now()
    while (server.connections() > 0 && performance.now() - began < 2000) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(server.connections()).toBe(0)
    expect(performance.now() - began).toBeLessThan(500)
  }

  it('are freed at once when the consumer leaves, with their place in the queue', async () => {
    const http = client({}, { hosts: { others: { concurrency: 1, delayMs: 0 }, byHost: {} } })
    for (let i = 0; i < 3; i++) {
      const stream = await http.stream(endless.url, { signal: never, maxBytes: 2e9 })
      for await (const chunk of stream!.bytes) {
        expect(chunk.byteLength).toBeGreaterThan(0)
        break
      }
    }
    await closed(endless)
  })

  it('are freed when the signal is aborted, and the error says so', async () => {
    const abort = new AbortController()
    const http = client({}, { hosts: { others: { concurrency: 1, delayMs: 0 }, byHost: {} } })
    const stream = await http.stream(endless.url, { signal: abort.signal, maxBytes: 2e9 })
    const reading = (async () => {
      for await (const chunk of stream!.bytes) if (chunk.byteLength > 0) abort.abort()
    })()
    await expect(reading.catch((err: unknown) => isAbort(err))).resolves.toBe(true)
    await closed(endless)
    const next = await http.stream(endless.url, { signal: never, maxBytes: 2e9 })
    for await (const chunk of next!.bytes) if (chunk.byteLength > 0) break
  })

  it('are freed on abort even where nobody began to read', async () => {
    const abort = new AbortController()
    await client().stream(endless.url, { signal: abort.signal, maxBytes: 2e9 })
    abort.abort()
    await closed(endless)
  })

  it('are freed, with their place in the queue, by a body that is given up unread', async () => {
    const http = client()
    // More than the host has places for: nobody waits for those that were given up.
    for (let i = 0; i < 5; i++) {
      const stream = await http.stream(endless.url, { signal: never, maxBytes: 2e9 })
      await stream?.discard()
    }
    await closed(endless)
  })

  it('never are more than the host wants', async () => {
    let now = 0
    let most = 0
    const server = await serve((_req, res) => {
      most = Math.max(most, ++now)
      setTimeout(() => {
        now--
        res.end('x')
      }, 20)
    })
    const http = client()
    await Promise.all(Array.from({ length: 8 }, () => text(http, server.url)))
    expect(most).toBe(2)
    expect(server.connections()).toBeLessThanOrEqual(2)
  })
})

it('counts what it transferred', async () => {
  const server = await serve((req, res) => sendStatic(req, res, body))
  const http = client()
  await text(http, server.url)
  await readAll(http, server.url)
  expect(http.stats()).toEqual({
    requests: 2,
    bytes: 2 * body.byteLength,
    hosts: { [server.host]: { requests: 2, bytes: 2 * body.byteLength } },
  })
})

it('counts for whom it transferred, where it is told to', async () => {
  const server = await serve((_req, res) => res.end('12345'))
  const http = client()
  const [one, other] = [new Meter(), new Meter()]
  for (const meter of [one, one, other]) {
    await http.metered(meter).document(server.url, { signal: never, maxBytes: 10 })
  }
  await text(http, server.url)
  expect(one.total()).toEqual({ requests: 2, bytes: 10 })
  expect(other.total()).toEqual({ requests: 1, bytes: 5 })
  expect(http.stats()).toMatchObject({ requests: 4, bytes: 20 })
})

describe('a proxy', () => {
  /** A proxy that tunnels; `seen` are the first lines of what it is asked. */
  async function proxyServer(seen: string[]): Promise<string> {
    const proxy = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', (head) => {
        const [line = ''] = head.toString().split('\r\n')
        seen.push(line)
        const [, to = '', port] = /^(?:CONNECT |GET http:\/\/)([^:]+):(\d+)/.exec(line) ?? []
        const upstream = connect(Number(port), to, () => {
          if (line.startsWith('CONNECT')) socket.write('HTTP/1.1 200 OK\r\n\r\n')
          else upstream.write(head)
        })
        upstream.on('error', () => undefined)
        socket.pipe(upstream).pipe(socket)
      })
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => new Promise((resolve) => proxy.close(resolve)))
    return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  }

  it.each(['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'])(
    'that %s names is asked for plain HTTP with plain requests, but not for hosts under no_proxy',
    async (name) => {
      const server = await serve((req, res) => res.end(`origin ${req.url}`))
      const seen: string[] = []
      const env = { [name]: await proxyServer(seen) }
      expect(await text(client({}, { env }), `${server.url}/a`)).toMatch(/^origin .*\/a$/)
      expect(seen).toEqual([`GET ${server.url}/a HTTP/1.1`])
      for (const no of ['no_proxy', 'NO_PROXY']) {
        expect(await text(client({}, { env: { ...env, [no]: '127.0.0.1' } }), server.url)).toBe('origin /')
      }
      expect(seen).toHaveLength(1)
    },
  )

  it.each([
    ['http_proxy alone', (proxy: string) => ({ http_proxy: proxy }), false],
    ['an empty https_proxy', (proxy: string) => ({ all_proxy: proxy, https_proxy: '' }), false],
    ['https_proxy', (proxy: string) => ({ https_proxy: proxy }), true],
    ['all_proxy', (proxy: string) => ({ all_proxy: proxy }), true],
  ])('that %s names is asked for https only where that is for https', async (_what, envOf, asked) => {
    const seen: string[] = []
    const http = client({ tries: 1 }, { env: envOf(await proxyServer(seen)) })
    // Nobody speaks TLS there; what counts is who was asked.
    const server = await serve((_req, res) => res.end())
    await failure(text(http, server.url.replace('http:', 'https:')))
    expect(seen).toEqual(asked ? [expect.stringMatching(/^CONNECT /)] : [])
  })

  it('for https is none for http', async () => {
    const seen: string[] = []
    const server = await serve((_req, res) => res.end('straight'))
    const http = client({}, { env: { https_proxy: await proxyServer(seen) } })
    expect([await text(http, server.url), seen]).toEqual(['straight', []])
  })

  const lost = (socket: Socket): unknown => setTimeout(() => socket.destroy(), 20)

  it.each<[string, string, (socket: Socket) => unknown, number]>([
    ['refuses', '', (socket) => socket.end('HTTP/1.1 403 no\r\n\r\n'), 2],
    ['hangs up', '', (socket) => socket.destroy(), 2],
    ['says nothing', '', () => undefined, 2],
    // Here it is the host that is at fault, or seems to be: it is asked for something else once more.
    ['tunnels to nobody', 'HTTP/1.1 200 OK\r\n\r\n', lost, 4],
  ])('that %s on CONNECT is given up after the tries that there are', async (_what, says, then, inAll) => {
    let tunnels = 0
    const proxy = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', (head) => {
        expect(head.toString()).toMatch(/^CONNECT mirror\.example:443 /)
        tunnels++
        socket.write(says)
        then(socket)
      })
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => new Promise((resolve) => proxy.close(resolve)))
    const env = { https_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` }
    const http = client({ tries: 2, connectTimeoutMs: 100 }, { env })
    const err = await failure(text(http, 'https://mirror.example/a'))
    expect(err).toMatchObject({ code: 'ILL' })
    expect(tunnels).toBe(2)
    await failure(text(http, 'https://mirror.example/b'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(tunnels).toBe(inAll)
  })

  it('that says nothing keeps nobody who is told to stop', async () => {
    const proxy = createTcpServer((socket) => socket.on('error', () => undefined).resume())
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => new Promise((resolve) => proxy.close(resolve)))
    const env = { https_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` }
    const started = performance.now()
    const asked = client({ connectTimeoutMs: 2000 }, { env }).document('https://mirror.example/', {
      signal: AbortSignal.timeout(50),
      maxBytes: 10,
    })
    await expect(asked).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

it('reads a mirror on a disk where it may', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'btfhub-http-'))
  cleanups.push(() => rm(dir, { recursive: true }))
  await writeFile(join(dir, 'Release'), 'of a disk')
  const http = client({}, { files: true })
  const url = pathToFileURL(join(dir, 'Release')).href
  expect(await text(http, url)).toBe('of a disk')
  expect((await readAll(http, url))?.toString()).toBe('of a disk')
  expect(await text(http, `${url}.gpg`)).toBeNull()
  expect(await failure(text(http, pathToFileURL(dir).href))).toMatchObject({ code: 'ILL' })
  expect(await failure(readAll(http, url, 3))).toMatchObject({ code: 'TOO_LARGE' })
})
