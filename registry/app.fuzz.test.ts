import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { addKernel, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { createApp } from './app.ts'
import { createHub } from './hub.ts'

let store: TestStore
let app: ReturnType<typeof createApp>

beforeAll(async () => {
  store = await openTestStore()
  await addKernel(store, { kernel: { release: '6.1.0-1-amd64' }, btf: tinyKernel() })
  app = createApp(createHub({ ...store, log: silentLog }))
})

afterAll(() => store.cleanUp())

const odd = fc.constantFrom(
  '',
  '.',
  '..',
  '%00',
  '%2e%2e',
  '%2F',
  '%zz',
  '%',
  '+',
  '\\',
  "'",
  '"',
  '<',
  '\u0000',
  '💥',
  '*',
)
const part = fc.oneof(
  fc.string(),
  odd,
  fc.constantFrom('6.1.0-1-amd64', '6.1.0-1-amd64.btf', 'debian', '12', 'amd64'),
)
const prefix = fc.constantFrom(
  '/v1/btf/',
  '/v1/min/',
  '/v1/blobs/sha256/',
  '/v1/kernels/',
  '/buildid/',
  '/coolbpf/btf/',
  '/',
)
const name = fc.oneof(
  fc.constantFrom(
    'arch',
    'distro',
    'version',
    'build_id',
    'banner',
    'os_release',
    'tool',
    'like',
    'format',
    'cursor',
    'limit',
  ),
  fc.string(),
)
const header = fc.constantFrom(
  'range',
  'if-range',
  'if-none-match',
  'if-match',
  'if-modified-since',
  'accept-encoding',
)
const headerText = fc.oneof(
  fc.constantFrom(
    'bytes=0-',
    'bytes=-0',
    'bytes=9-1',
    '*',
    '"x"',
    'W/"x"',
    'gzip;q=0',
    '*;q=0',
    'br',
    'Sun, 06 Nov 1994 08:49:37 GMT',
  ),
  fc.string().map((text) => text.replace(/[^\x20-\x7e]/g, '')),
)

it('whatever is asked, the answer is one of a hub, and no defect', async () => {
  await fc.assert(
    fc.asyncProperty(
      prefix,
      fc.array(part, { maxLength: 5 }),
      fc.array(fc.tuple(name, part), { maxLength: 4 }),
      fc.array(fc.tuple(header, headerText), { maxLength: 3 }),
      async (start, parts, query, headers) => {
        const path =
          start +
          parts.join('/') +
          (query.length > 0 ? `?${query.map(([n, v]) => `${n}=${v}`).join('&')}` : '')
        if (!URL.canParse(path, 'http://hub.example')) return
        const url = new URL(path, 'http://hub.example')
        if (url.host !== 'hub.example') return
        const response = await app.request(url.href, { headers: Object.fromEntries(headers) })
        expect([200, 206, 304, 400, 404, 409, 412, 416]).toContain(response.status)
        await response.arrayBuffer()
      },
    ),
    { numRuns: 1500 },
  )
})

it('whatever is posted, too', async () => {
  const field = fc.constantFrom(
    'release',
    'arch',
    'distro',
    'version',
    'build_id',
    'banner',
    'os_release',
    'tool',
    'like',
  )
  const body = fc.oneof(
    fc.json(),
    fc.string(),
    fc
      .dictionary(field, fc.oneof(part, fc.boolean(), fc.constant('6.1.0-1-amd64')))
      .map((value) => JSON.stringify(value)),
  )
  await fc.assert(
    fc.asyncProperty(body, async (text) => {
      const headers = { 'content-type': 'application/json' }
      const response = await app.request('/v1/resolve', { method: 'POST', headers, body: text })
      expect([200, 400, 404, 409]).toContain(response.status)
      await response.arrayBuffer()
    }),
    { numRuns: 1000 },
  )
})
