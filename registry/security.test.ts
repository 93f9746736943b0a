import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { nightly } from '../test/helpers/nightly.ts'
import { addKernel, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { type RunningRegistry, type ServerLimits, startRegistry } from './server.ts'

const IDLE_CONNECTIONS = nightly ? 10_000 : 1_000

let store: TestStore
let hub: RunningRegistry

beforeAll(async () => {
  store = await openTestStore()
  await addKernel(store, { kernel: { release: 'small' }, btf: tinyKernel(4) })
  hub = await start({ headersTimeoutMs: 1500, requestTimeoutMs: 1500 })
})

afterAll(async () => {
  await hub.stop()
  await store.cleanUp()
})

function start(limits: Partial<ServerLimits>): Promise<RunningRegistry> {
  return startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0, limits })
}

/** All that the hub says to these bytes until it closes the connection. */
async function say(...texts: readonly (string | number)[]): Promise<string> {
  return sayTo(hub.port, texts)
}

async function sayTo(port: number, texts: readonly (string | number)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let said = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => (said += chunk))
  socket.on('error', () => undefined)
  const closed = once(socket, 'close')
  for (const text of texts) {
    if (typeof text === 'number') await sleep(text)
    else if (!socket.destroyed) socket.write(text)
  }
  await closed
  return said
}

function get(path: string, ...headers: string[]): string {
  return [`GET ${path} HTTP/1.1`, 'Host: hub.example', 'Connection: close', ...headers, '', ''].join('\r\n')
}

function statusOf(said: string): number {
  return Number(/^HTTP\/1\.1 (\d+)/.exec(said)?.[1])
}

const headOf = (said: string): string => said.split('\r\n\r\n')[0] ?? ''

describe('path traversal', () => {
  it.each([
    '/../../../../etc/passwd',
    '/v1/btf/../../../etc/passwd',
    '/v1/blobs/sha256/../../../catalog.sqlite',
    '/debian/12/x86_64/../../../../etc/passwd.btf',
    '/btfs/../../etc/passwd',
    '/metadata/vmlinux-../../../etc/passwd',
    '/usr/lib/btf/../../../etc/passwd',
    '//etc/passwd',
    '/./././etc/passwd',
  ])('%s gives nothing', async (path) => {
    const said = await say(get(path))
    expect([400, 404]).toContain(statusOf(said))
    expect(said).not.toMatch(/root:|SQLite/)
  })
})

describe('encoded slashes', () => {
  it.each([
    '/v1/btf/..%2f..%2f..%2fetc%2fpasswd',
    '/v1/btf/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '/v1/btf/..%5c..%5cetc%5cpasswd',
    '/v1/btf/..%252f..%252fetc%252fpasswd',
    '/v1/btf/%c0%ae%c0%ae%c0%afetc',
    '/v1/blobs/sha256/..%2f..%2fcatalog.sqlite',
    '/debian/12/x86_64/..%2f..%2fcatalog.btf',
    '/debian/12%2f..%2f../x86_64/a.btf',
    '/v1/kernels/debian/12/x86_64/a%2fvmlinux.h',
    '/metadata/vmlinux-..%2f..%2fa',
  ])('%s gives nothing', async (path) => {
    expect([400, 404]).toContain(statusOf(await say(get(path))))
  })
})

describe('header injection', () => {
  it.each([
    '/v1/btf/small%0d%0aSet-Cookie:%20a=b',
    '/v1/btf/small?banner=Linux%20version%20small%20%0d%0aSet-Cookie:%20a=b',
    '/v1/btf/nope?distro=a%0d%0aSet-Cookie:%20a=b',
    '/v1/min/a%0d%0aSet-Cookie:%20a=b/small',
    '/v1/kernels?cursor=a%0d%0aSet-Cookie:%20a=b',
    '/debian/12/x86_64/small%0d%0aSet-Cookie:%20a=b.btf',
    '/%0d%0aSet-Cookie:%20a=b',
  ])('%s sets no header', async (path) => {
    const said = await say(get(path))
    expect(statusOf(said)).toBeGreaterThanOrEqual(400)
    expect(headOf(said).toLowerCase()).not.toContain('set-cookie')
  })

  it('of the raw kind is refused by the parser', async () => {
    expect(statusOf(await say(get('/v1/btf/small', 'X: a\rSet-Cookie: b')))).toBe(400)
    expect(statusOf(await say('GET /v1/btf/small\rX HTTP/1.1\r\nHost: a\r\n\r\n'))).toBe(400)
  })
})

describe('host header games', () => {
  it.each([
    ['Host', 'evil.example/$(reboot)'],
    ['Host', "a'; reboot; '"],
    ['Host', 'a b'],
    ['Host', 'user@evil.example'],
    ['X-Forwarded-Host', "evil'; reboot; '"],
    ['X-Forwarded-Host', 'evil.example\tx'],
    ['X-Forwarded-Proto', 'javascript'],
  ])('%s: %s does not get into get.sh', async (name, value) => {
    const host = name === 'Host' ? value : 'hub.example'
    const other = name === 'Host' ? '' : `${name}: ${value}\r\n`
    const said = await say(`GET /get.sh HTTP/1.1\r\nHost: ${host}\r\n${other}Connection: close\r\n\r\n`)
    expect(statusOf(said)).toBe(400)
    expect(said).not.toContain('reboot')
  })

  it('get.sh and the page are kept by no cache, whoever asks under what name', async () => {
    for (const path of ['/get.sh', '/']) {
      expect(headOf(await say(get(path, 'X-Forwarded-Host: other.example')))).toMatch(
        /cache-control: [^\r]*no-store/i,
      )
    }
  })
})

describe('huge requests', () => {
  it('a query of 10 KB is refused or answered, soon', async () => {
    const start = Date.now()
    for (const query of [`q=${'a'.repeat(10_000)}`, 'q=a&'.repeat(2500), `${'a'.repeat(5000)}=1`]) {
      expect([400, 404, 414, 431]).toContain(statusOf(await say(get(`/v1/kernels?${query}`))))
    }
    expect(Date.now() - start).toBeLessThan(5000)
  })

  it('a query of a megabyte is not read', async () => {
    expect([431, NaN]).toContain(statusOf(await say(get(`/v1/kernels?q=${'a'.repeat(1 << 20)}`))))
  })

  it('a thousand headers are refused', async () => {
    const headers = Array.from({ length: 1500 }, (_, i) => `X-${i}: ${'v'.repeat(20)}`)
    expect([400, 431]).toContain(statusOf(await say(get('/v1/btf/small', ...headers))))
  })
})

it('slow uploads are cut off, and others are answered meanwhile', async () => {
  const boundary = 'Content-Type: multipart/form-data; boundary=x'
  const head = `POST /v1/minimize?release=small HTTP/1.1\r\nHost: a\r\n${boundary}\r\nContent-Length: 100000\r\n\r\n--x\r\n`
  const start = Date.now()
  const slow = Array.from({ length: 8 }, () => say(head, 300, 'a', 300, 'b', 300, 'c'))
  expect(statusOf(await say(get('/v1/btf/small')))).toBe(200)
  await Promise.all(slow)
  expect(Date.now() - start).toBeLessThan(10_000)
  expect(statusOf(await say(get('/v1/btf/small')))).toBe(200)
})

it(`${IDLE_CONNECTIONS} idle connections keep nobody out`, async () => {
  const own = await start({
    headersTimeoutMs: 60_000,
    requestTimeoutMs: 60_000,
    maxConnections: IDLE_CONNECTIONS + 100,
    drainMs: 100,
  })
  // In a process of their own: each end of a connection is a file of somebody's.
  const script = `
    const { connect } = require('node:net')
    let left = ${IDLE_CONNECTIONS}
    const open = () => {
      if (left-- > 0) connect(${own.port}, '127.0.0.1', open).on('error', (err) => { throw err })
      else process.stdout.write('.')
    }
    for (let i = 0; i < 50; i++) open()`
  const clients = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    for (let ready = 0; ready < 50;) ready += String(await once(clients.stdout, 'data')).length
    const start = Date.now()
    for (let i = 0; i < 20; i++) {
      expect(statusOf(await sayTo(own.port, [get('/v1/btf/small')]))).toBe(200)
    }
    expect(Date.now() - start).toBeLessThan(5000)
    expect(clients.exitCode).toBeNull()
  } finally {
    clients.kill()
    await once(clients, 'close')
    await own.stop()
  }
})
