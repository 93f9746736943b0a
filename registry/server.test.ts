import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readlink } from 'node:fs/promises'
import { type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { pino } from 'pino'
import { Agent, request as undiciRequest } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, sampleBuild, type TestStore } from '../test/helpers/store.ts'
import { type RunningRegistry, startRegistry } from './server.ts'

let store: TestStore
let hub: RunningRegistry

const limits = { maxHeaderBytes: 8192, headersTimeoutMs: 700, requestTimeoutMs: 1500, drainMs: 2000 }
const small = tinyKernel(4)
/** Above what is always held in memory. */
const large = tinyKernel(8, 20_000)

beforeAll(async () => {
  store = await openTestStore()
  await addKernel(store, { kernel: { release: 'small' }, btf: small })
  await addKernel(store, { kernel: { release: 'large' }, btf: large })
  await addTool(store, 'both', '1.0', compileTool(['pid', 'tgid']))
  hub = await start()
})

afterAll(async () => {
  await hub.stop()
  await store.cleanUp()
})

function start(): Promise<RunningRegistry> {
  const options = { host: '127.0.0.1', port: 0, limits, pollMs: 20 }
  return startRegistry({ ...store, log: silentLog }, options)
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** One request as plain as can be: no header but those given. */
function ask(
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
  port = hub.port,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, path, method, headers, agent: false }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }),
      )
      incoming.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** All that a server says on a connection until it closes it. */
function say(text: string, port = hub.port): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let said = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => (said += chunk))
    socket.on('close', () => resolve(said))
    socket.on('error', (err: NodeJS.ErrnoException) =>
      err.code === 'ECONNRESET' ? resolve(said) : reject(err),
    )
  })
}

function withoutConnection(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { date: _date, connection: _connection, 'keep-alive': _keepAlive, ...rest } = headers
  return rest
}

describe('hot answers', () => {
  it.each(['/v1/min/both/small', '/v1/btf/small', '/v1/btf/large', '/debian/12/amd64/small.btf.gz'])(
    'Last-Modified of %s is one however it is answered, and a date alone is a condition, hot or not',
    async (path) => {
      const url = `${hub.url}${path}`
      // Connections that stay open are answered without Node's server as long as requests are plain.
      const dispatcher = new Agent({ connections: 1, pipelining: 1 })
      const asked = async (
        headers: Record<string, string> = {},
      ): Promise<readonly [number, number, unknown]> => {
        const answer = await undiciRequest(url, { dispatcher, headers })
        const { byteLength } = await answer.body.arrayBuffer()
        return [answer.statusCode, byteLength, answer.headers['last-modified']]
      }
      try {
        const [, size, date] = await asked()
        // What is large is remembered from the second time on.
        await asked()
        expect(date).toMatch(/^\w{3}, \d\d \w{3} \d{4} .* GMT$/)
        const hits = hub.hub.metrics.hotHits
        for (let i = 0; i < 3; i++) expect(await asked()).toEqual([200, size, date])
        expect(hub.hub.metrics.hotHits).toBe(hits + 3)
        const at = (ms: number): string => new Date(Date.parse(date as string) + ms).toUTCString()
        for (let i = 0; i < 2; i++) {
          expect(await asked({ 'if-modified-since': at(0) })).toEqual([304, 0, date])
          expect(await asked({ 'if-modified-since': at(86_400_000) })).toEqual([304, 0, date])
          expect(await asked({ 'if-modified-since': at(-1000) })).toEqual([200, size, date])
          expect(await asked({ 'if-modified-since': 'yesterday' })).toEqual([200, size, date])
          expect((await asked({ 'if-unmodified-since': at(-1000) }))[0]).toBe(412)
          // On a connection of its own, so that the next plain request is quick again.
          expect((await ask(path, { 'if-modified-since': at(0) })).status).toBe(304)
          expect(await asked()).toEqual([200, size, date])
        }
      } finally {
        await dispatcher.close()
      }
    },
  )

  it.each([
    ['/v1/min/both/small', {}],
    ['/v1/btf/small', {}],
    ['/v1/btf/small', { 'accept-encoding': 'gzip' }],
    ['/v1/btf/small', { 'accept-encoding': 'br, gzip' }],
    ['/v1/btf/large', {}],
    ['/debian/12/amd64/small.btf.gz', { 'accept-encoding': 'gzip' }],
    ['/debian/12/amd64/small.btf.sha256', {}],
  ])('%s %o is what the app says, GET and HEAD', async (path, headers) => {
    // A condition that never holds goes through the app.
    const cold = await ask(path, { ...headers, 'if-none-match': '"x"' })
    expect(cold.status).toBe(200)
    for (let i = 0; i < 3; i++) {
      const hot = await ask(path, headers)
      expect(withoutConnection(hot.headers)).toEqual(withoutConnection(cold.headers))
      expect(hot.body.equals(cold.body)).toBe(true)
      const head = await ask(path, headers, 'HEAD')
      expect(withoutConnection(head.headers)).toEqual(withoutConnection(cold.headers))
      expect(head.body.byteLength).toBe(0)
    }
    const snapshot = hub.hub.snapshots.current
    expect(hub.hub.hot.find(path, headers, snapshot?.id ?? -1)).toBeDefined()
  })

  it('are not given to who asks for a part or under a condition', async () => {
    await ask('/v1/btf/small')
    expect((await ask('/v1/btf/small', { range: 'bytes=0-3' })).body).toEqual(
      Buffer.from(small.subarray(0, 4)),
    )
    const { headers } = await ask('/v1/btf/small')
    expect((await ask('/v1/btf/small', { 'if-none-match': headers.etag ?? '' })).status).toBe(304)
    expect((await ask('/v1/btf/small', { 'if-match': '"x"' })).status).toBe(412)
    expect((await ask('/v1/btf/small', {}, 'POST')).status).toBe(405)
  })

  it('are not given any more when a build makes the question ambiguous', async () => {
    const release = 'soon-ambiguous'
    await addKernel(store, { kernel: { release }, btf: tinyKernel(12) })
    const path = `/v1/btf/${release}`
    for (let i = 0; i < 3; i++) expect((await ask(path)).status).toBe(200)
    await addKernel(store, { kernel: { release, version: '13' }, btf: tinyKernel(16) })
    const start = Date.now()
    while ((await ask(path)).status === 200 && Date.now() - start < 5000) await sleep(20)
    expect((await ask(path)).status).toBe(409)
    expect((await ask(`${path}?version=13`)).status).toBe(200)
  })
})

describe('HTTP', () => {
  it('serves many requests on one connection, also several at once', async () => {
    const dispatcher = new Agent({ connections: 1, pipelining: 4 })
    const all = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const path = ['/v1/btf/small', '/v1/min/both/small', '/v1/btf/nope', '/healthz'][i % 4] as string
        const answer = await undiciRequest(`${hub.url}${path}`, { dispatcher })
        return [path, answer.statusCode, (await answer.body.bytes()).byteLength] as const
      }),
    )
    for (const [path, status, size] of all) {
      expect(status).toBe(path.endsWith('nope') ? 404 : 200)
      if (path === '/v1/btf/small') expect(size).toBe(small.byteLength)
    }
    await dispatcher.close()
  })

  it('HEAD leaves the connection usable', async () => {
    const said = await say(
      [
        'HEAD /v1/btf/small HTTP/1.1',
        'Host: a',
        '',
        'GET /healthz HTTP/1.1',
        'Host: a',
        'Connection: close',
        '',
        '',
      ].join('\r\n'),
    )
    expect(said.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2)
    expect(said.endsWith('ok\n')).toBe(true)
  })

  it('takes HTTP/1.0', async () => {
    const said = await say('GET /v1/btf/small HTTP/1.0\r\n\r\n')
    expect(said).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(said.length).toBeGreaterThan(small.byteLength)
  })

  it('ranges put together are the whole, of a streamed body too', async () => {
    const { body } = await ask('/v1/btf/large')
    const parts: Buffer[] = []
    for (let at = 0; at < body.byteLength; at += 100_000) {
      const part = await ask('/v1/btf/large', { range: `bytes=${at}-${at + 99_999}` })
      expect(part.status).toBe(206)
      parts.push(part.body)
    }
    expect(Buffer.concat(parts).equals(body)).toBe(true)
    expect(body.equals(Buffer.from(large))).toBe(true)
  })

  it('compresses for who asks', async () => {
    const { headers, body } = await ask('/v1/btf/large', { 'accept-encoding': 'gzip' })
    expect(headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(body).equals(Buffer.from(large))).toBe(true)
  })

  it('lets go of a body that nobody takes, and of its file', async () => {
    for (let i = 0; i < 20; i++) {
      // Each is another body, so that none is held in memory.
      const btf = tinyKernel(8, 20_100 + i)
      await addKernel(store, { kernel: { release: `left-${i}` }, btf })
      await new Promise<void>((resolve) => {
        const socket = connect(hub.port, '127.0.0.1', () => {
          socket.write(`GET /v1/btf/left-${i} HTTP/1.1\r\nHost: a\r\n\r\n`)
          if (i % 2 === 0) setTimeout(() => socket.destroy(), i)
        })
        socket.once('data', () => socket.destroy())
        socket.on('close', () => resolve())
      })
    }
    const start = Date.now()
    while ((await openBlobs()).length > 0 && Date.now() - start < 5000) await sleep(20)
    expect(await openBlobs()).toEqual([])
  })
})

/** Blobs that this process, which is the server too, has open. */
async function openBlobs(): Promise<string[]> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''))
  return (await Promise.all(links)).filter((path) => path.startsWith(join(store.dataDir, 'blobs')))
}

describe('ill requests', () => {
  it.each([
    ['a path that climbs', 'GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 404],
    [
      'the same, encoded',
      'GET /v1/btf/%2e%2e/%2e%2e/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      404,
    ],
    ['a NUL', 'GET /v1/btf/%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400],
    ['a backslash', 'GET /v1/btf/a\\..\\b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400],
    ['no Host', 'GET /v1/btf/small HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['a Host that is none', 'GET /nope HTTP/1.1\r\nHost: a b"$(x)\r\nConnection: close\r\n\r\n', 400],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['headers without end', `GET / HTTP/1.1\r\nX: ${'x'.repeat(9000)}\r\n\r\n`, 431],
    [
      'two lengths',
      'POST /v1/resolve HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
      400,
    ],
    [
      'a length and chunks',
      'POST /v1/resolve HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'a body that is too long, by its length',
      'POST /v1/resolve HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\n{',
      413,
    ],
  ])('%s', async (_, text, status) => {
    expect(await say(text)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect((await ask('/healthz')).status).toBe(200)
  })

  it('a body that is too long, by its chunks', async () => {
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
    const head =
      'POST /v1/resolve HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
    expect(await say(head + chunk.repeat(8))).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('headers that trickle are cut off', async () => {
    const start = Date.now()
    const said = await say('GET /v1/btf/small HTTP/1.1\r\nHost: a\r\nX-Slow:')
    expect(said === '' || said.startsWith('HTTP/1.1 408')).toBe(true)
    expect(Date.now() - start).toBeLessThan(5000)
  })

  it('a body that trickles is cut off', async () => {
    const start = Date.now()
    await say(
      'POST /v1/resolve HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
    )
    expect(Date.now() - start).toBeLessThan(8000)
  })
})

describe('other writers', () => {
  it('what another process adds is served, without a wrong answer meanwhile', async () => {
    const url = (path: string): string => JSON.stringify(new URL(`../dist/${path}`, import.meta.url).href)
    const script = `
      import { openStore } from ${url('store/index.js')}
      import { once } from 'node:events'
      const store = await openStore(${JSON.stringify(store.dataDir)})
      for await (const line of process.stdin.setEncoding('utf8')) {
        for (const text of line.split('\\n').filter(Boolean)) {
          const { build, btf } = JSON.parse(text)
          await store.blobs.put(Buffer.from(btf, 'base64'))
          await store.catalog.addBuild(build)
          console.log(build.kernel.release)
        }
      }
      await store.close()`
    const writer = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const written = createInterface(writer.stdout)[Symbol.asyncIterator]()
    let over = false
    const asker = (async () => {
      const answers = new Set<string>()
      for (; !over; await sleep(1)) {
        const { status, body } = await ask('/v1/btf/small')
        answers.add(`${status} ${body.byteLength}`)
      }
      return [...answers]
    })()
    try {
      for (let i = 0; i < 30; i++) {
        const btf = tinyKernel(4, i)
        const build = sampleBuild({ kernel: { release: `other-${i}` }, btf })
        writer.stdin.write(`${JSON.stringify({ build, btf: Buffer.from(btf).toString('base64') })}\n`)
        expect((await written.next()).value).toBe(`other-${i}`)
        const { status, body } = await ask(`/v1/btf/other-${i}`)
        expect(status).toBe(200)
        expect(body.equals(Buffer.from(btf))).toBe(true)
      }
    } finally {
      over = true
      writer.stdin.end()
      expect(await asker).toEqual([`200 ${small.byteLength}`])
    }
    expect(await once(writer, 'close')).toEqual([0, null])
  })
})

describe('stopping', () => {
  it('ends what is under way, refuses what is new, and closes idle connections', async () => {
    const own = await start()
    const slow = connect(own.port, '127.0.0.1')
    slow.pause()
    await new Promise((resolve) => slow.once('connect', resolve))
    slow.write('GET /v1/btf/large HTTP/1.1\r\nHost: a\r\n\r\n')
    await sleep(200)
    const stopped = own.stop()
    await sleep(50)
    await expect(ask('/healthz', {}, 'GET', own.port)).rejects.toThrow()
    let received = 0
    slow.on('data', (chunk) => (received += chunk.byteLength))
    slow.resume()
    await stopped
    await sleep(20)
    expect(received).toBeGreaterThan(large.byteLength)
    slow.destroy()
  })

  it('leaves nothing behind that still reads the store, also of askers who are gone', async () => {
    const errors: string[] = []
    const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(line) })
    const other = await openTestStore()
    for (let i = 0; i < 30; i++)
      await addKernel(other, { kernel: { release: `k${i}` }, btf: tinyKernel(4, 9000 + i) })
    await addTool(other, 'both', '1.0', compileTool(['pid', 'tgid']))
    const own = await startRegistry({ ...other, log }, { host: '127.0.0.1', port: 0, limits: { drainMs: 1 } })
    const asking = Array.from({ length: 30 }, (_, i) =>
      ask(`/v1/min/both/k${i}`, {}, 'GET', own.port).catch(() => null),
    )
    while (own.hub.minBtfs.made === 0) await sleep(1)
    await own.stop()
    await other.cleanUp()
    await Promise.all(asking)
    await sleep(50)
    expect(errors).toEqual([])
    expect(own.hub.minBtfs.made).toBeLessThan(30)
  })

  it('does not wait for ever for who takes nothing', async () => {
    const own = await start()
    const stuck = connect(own.port, '127.0.0.1')
    stuck.pause()
    stuck.on('error', () => {})
    await new Promise((resolve) => stuck.once('connect', resolve))
    stuck.write('GET /v1/btf/large HTTP/1.1\r\nHost: a\r\n' + '\r\n')
    const begin = Date.now()
    await own.stop()
    expect(Date.now() - begin).toBeLessThan(limits.drainMs + 2000)
    stuck.destroy()
  })

  it('a port that is taken is an error', async () => {
    const options = { host: '127.0.0.1', port: hub.port }
    await expect(startRegistry({ ...store, log: silentLog }, options)).rejects.toMatchObject({
      code: 'EADDRINUSE',
    })
  })
})

it('serves 200 askers of one min BTF that nobody made yet with one making', async () => {
  await addKernel(store, { kernel: { release: 'fresh' }, btf: tinyKernel(20) })
  const made = hub.hub.minBtfs.made
  const all = await Promise.all(Array.from({ length: 200 }, () => ask('/v1/min/both/fresh')))
  expect(new Set(all.map((answer) => `${answer.status} ${answer.body.toString('hex')}`)).size).toBe(1)
  expect(all[0]?.status).toBe(200)
  expect(hub.hub.minBtfs.made).toBe(made + 1)
})
