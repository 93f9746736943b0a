import { connect } from 'node:net'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMinMaker } from '../cli/hub/min-maker.ts'
import { limits } from '../core/limits.ts'
import { silentLog } from '../core/log.ts'
import { hashSecret, makeSecret } from '../core/token.ts'
import { openStore } from '../store/index.ts'
import { runCli } from '../test/helpers/cli.ts'
import { addKernel, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { Problem, ToolProgress } from './api.ts'
import { type RunningRegistry, startRegistry } from './server.ts'

const KERNELS = 24
let store: TestStore
let hub: RunningRegistry
let pid: Uint8Array
let both: Uint8Array
const all = makeSecret()
const onlySnoop = makeSecret()

const start = (of: TestStore = store): Promise<RunningRegistry> => {
  const minMaker = createMinMaker(of, silentLog, { threads: 1, poolFrom: 1 })
  return startRegistry(
    { ...of, log: silentLog, makeMinBtfs: (tool, signal) => minMaker.forTool(tool, signal, () => {}) },
    { host: '127.0.0.1', port: 0 },
  )
}

beforeAll(async () => {
  store = await openTestStore()
  for (let i = 0; i < KERNELS; i++) {
    await addKernel(store, { kernel: { release: `6.1.0-${i}` }, btf: tinyKernel(8, i) })
  }
  await store.catalog.addToken({ name: 'all', hash: hashSecret(all), scopes: ['tools'] })
  await store.catalog.addToken({ name: 'snoop', hash: hashSecret(onlySnoop), scopes: ['tool:snoop'] })
  pid = compileTool(['pid'])
  both = compileTool(['pid', 'tgid'])
  hub = await start()
})

afterAll(async () => {
  await hub.stop()
  await store.cleanUp()
})

function form(...objects: readonly (readonly [string, Uint8Array])[]): FormData {
  const data = new FormData()
  for (const [name, bytes] of objects) data.append('object', new Blob([new Uint8Array(bytes)]), name)
  return data
}

async function put(
  path: string,
  body: NonNullable<RequestInit['body']>,
  secret: string | null = all,
  headers = {},
): Promise<Response> {
  const authorization = secret === null ? {} : { authorization: `Bearer ${secret}` }
  return fetch(`${hub.url}/v1/tools/${path}`, {
    method: 'PUT',
    body,
    headers: { ...authorization, ...headers },
  })
}

async function told(response: Response): Promise<string> {
  return `${response.status} ${Problem.parse(await response.json()).code}`
}

async function ready(path: string, url = hub.url): Promise<ToolProgress> {
  for (;;) {
    const progress = ToolProgress.parse(await (await fetch(`${url}/v1/tools/${path}`)).json())
    if (progress.state === 'ready') return progress
    await sleep(20)
  }
}

describe('PUT /v1/tools/{tool}/{version}', () => {
  it('registers a tool, whose min BTF are then made in the background', async () => {
    const response = await put('pids/1', form(['pids.bpf.o', pid]))
    expect(response.status).toBe(201)
    expect(ToolProgress.parse(await response.json())).toMatchObject({
      total: KERNELS,
      tool: { name: 'pids', version: '1' },
    })
    expect(await ready('pids/1')).toMatchObject({ done: KERNELS, total: KERNELS, unfit: 0 })
    const tool = await store.catalog.tool('pids', '1')
    expect((await store.catalog.minBtfs(tool?.id ?? 0)).size).toBe(KERNELS)
    const min = await fetch(`${hub.url}/v1/min/pids/6.1.0-3`)
    expect(min.status).toBe(200)
    // Made in a thread: nothing was cut for this request.
    expect(hub.hub.minBtfs.made).toBe(0)
  })

  it('takes the same objects again and refuses others: a version means the same for ever', async () => {
    const files = [
      ['a.bpf.o', pid],
      ['b.bpf.o', both],
    ] as const
    expect((await put('two/1', form(...files))).status).toBe(201)
    expect((await put('two/1', form(...[...files].reverse()))).status).toBe(200)
    expect(await told(await put('two/1', form(['a.bpf.o', both])))).toBe('409 CONFLICT')
    expect((await put('two/2', form(['a.bpf.o', both]))).status).toBe(201)
  })

  it('answers other requests while it makes min BTF', async () => {
    await put('busy/1', form(['busy.bpf.o', both]))
    const started = performance.now()
    expect((await fetch(`${hub.url}/healthz`)).status).toBe(200)
    expect(performance.now() - started).toBeLessThan(1000)
    await ready('busy/1')
  })

  it.each([
    ['no token', null, {}, '401 UNAUTHORIZED'],
    ['a token that is none', 'btfhub_nonsense', {}, '401 UNAUTHORIZED'],
    ['its hash instead of its secret', hashSecret(all), {}, '401 UNAUTHORIZED'],
    ['a secret that is too long', 'x'.repeat(5000), {}, '401 UNAUTHORIZED'],
    ['another scheme', null, { authorization: `Basic ${all}` }, '401 UNAUTHORIZED'],
    ['a token for another tool', onlySnoop, {}, '403 FORBIDDEN'],
  ])('lets nobody in with %s', async (_, secret, headers, expected) => {
    const response = await put('pids/9', form(['a.bpf.o', pid]), secret, headers)
    if (expected.startsWith('401')) expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/)
    expect(await told(response)).toBe(expected)
    expect(await store.catalog.tool('pids', '9')).toBeNull()
  })

  it('asks for the token before it reads anything of the body', async () => {
    const { port } = hub
    const socket = connect(port, '127.0.0.1')
    socket.write(
      'PUT /v1/tools/pids/7 HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000\r\n\r\n',
    )
    const [head] = (await new Promise<Buffer[]>((resolve) =>
      socket.once('data', (chunk: Buffer) => resolve([chunk])),
    )) as [Buffer]
    expect(head.toString()).toMatch(/^HTTP\/1\.1 401 /)
    socket.destroy()
  })

  it('lets in whose scope names the tool, until the token is rotated or removed', async () => {
    expect((await put('snoop/1', form(['a.bpf.o', pid]), onlySnoop)).status).toBe(201)
    const next = makeSecret()
    await store.catalog.rotateToken('snoop', hashSecret(next))
    expect(await told(await put('snoop/1', form(['a.bpf.o', pid]), onlySnoop))).toBe('401 UNAUTHORIZED')
    expect((await put('snoop/1', form(['a.bpf.o', pid]), next)).status).toBe(200)
    await store.catalog.removeToken('snoop')
    expect(await told(await put('snoop/1', form(['a.bpf.o', pid]), next))).toBe('401 UNAUTHORIZED')
  })

  const many = Array.from(
    { length: limits.request.maxUploadObjects + 1 },
    (_, i) => [`${i}.bpf.o`, new Uint8Array(1)] as const,
  )
  it.each([
    ['no object', () => form(), '400 BAD_REQUEST'],
    [
      'something that is no BPF object',
      () => form(['a.bpf.o', new TextEncoder().encode('hello')]),
      '422 TOOL_UNFIT',
    ],
    ['two objects of one name', () => form(['a.bpf.o', pid], ['a.bpf.o', pid]), '400 BAD_REQUEST'],
    ['a name that is a path', () => form(['../../etc/x.bpf.o', pid]), '400 BAD_REQUEST'],
    ['a name with a line break', () => form(['a\r\nSet-Cookie: x.bpf.o', pid]), '400 BAD_REQUEST'],
    ['too many objects', () => form(...many), '413 TOO_LARGE'],
    [
      'too large an object',
      () => form(['a.bpf.o', new Uint8Array(limits.request.maxUploadBytes + 1)]),
      '413 TOO_LARGE',
    ],
  ])('refuses %s, and keeps nothing', async (_, body, expected) => {
    expect(await told(await put('bad/1', body()))).toBe(expected)
    expect(await store.catalog.tool('bad', '1')).toBeNull()
  })

  it.each([
    ['another type', 'hello', { 'content-type': 'application/json' }, '415 UNSUPPORTED_MEDIA'],
    ['no boundary', 'hello', { 'content-type': 'multipart/form-data; x=y' }, '400 BAD_REQUEST'],
    [
      'a body that is cut off',
      '--x\r\nContent-Disposition: form-data; name="object"; filename="a"\r\n\r\nabc',
      { 'content-type': 'multipart/form-data; boundary=x' },
      '400 BAD_REQUEST',
    ],
  ])('refuses a malformed body: %s', async (_, body, headers, expected) => {
    expect(await told(await put('bad/1', body, all, headers))).toBe(expected)
  })

  it.each([
    ['../x', '1'],
    ['a@b', '1'],
    ['a b', '1'],
    ['a\r\nb', '1'],
    ['x'.repeat(300), '1'],
    ['a', '..'],
    ['a', '1@2'],
    ['a', '-rf'],
  ])('refuses the name %j with version %j', async (name, version) => {
    const path = `${encodeURIComponent(name)}/${encodeURIComponent(version)}`
    expect(await told(await put(path, form(['a.bpf.o', pid])))).toMatch(/^(400 BAD_REQUEST|404 NO_ROUTE)$/)
  })

  it('tells of a version that is not there, and of a method that is none', async () => {
    expect(await told(await fetch(`${hub.url}/v1/tools/pids/77`))).toBe('404 NOT_FOUND')
    expect(await told(await fetch(`${hub.url}/v1/tools/pids/1`, { method: 'DELETE' }))).toBe(
      '405 METHOD_NOT_ALLOWED',
    )
  })
})

it('a hub that takes no writes says so', async () => {
  const readOnly = await openStore(store.dataDir, { readOnly: true })
  const registry = await startRegistry({ ...readOnly, log: silentLog }, { host: '127.0.0.1', port: 0 })
  const headers = { authorization: `Bearer ${all}` }
  const response = await fetch(`${registry.url}/v1/tools/new/1`, {
    method: 'PUT',
    headers,
    body: form(['a.bpf.o', pid]),
  })
  expect(await told(response)).toBe('403 READ_ONLY')
  await registry.stop()
  await readOnly.close()
})

it('what was broken off by a stop goes on with the next start', async () => {
  const own = await openTestStore()
  try {
    for (let i = 0; i < 40; i++)
      await addKernel(own, { kernel: { release: `r${i}` }, btf: tinyKernel(12, i) })
    await own.catalog.addToken({ name: 'all', hash: hashSecret(all), scopes: ['tools'] })
    const first = await start(own)
    const response = await fetch(`${first.url}/v1/tools/late/1`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${all}` },
      body: form(['late.bpf.o', both]),
    })
    expect(response.status).toBe(201)
    await first.stop()
    const second = await start(own)
    expect(await ready('late/1', second.url)).toMatchObject({ done: 40, total: 40 })
    await second.stop()
  } finally {
    await own.cleanUp()
  }
})

it('btfhub token and tool push: from nothing to min BTF', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  try {
    const data = ['--data', store.dataDir]
    const made = await runCli(['token', 'add', 'ci', '--scope', 'tool:cli', ...data])
    expect(made).toMatchObject({ code: 0 })
    await writeFile(join(dir, 'token'), made.stdout)
    await writeFile(join(dir, 'cli.bpf.o'), pid)
    const push = [
      'tool',
      'push',
      'cli@1',
      join(dir, 'cli.bpf.o'),
      '--hub',
      hub.url,
      '--token-file',
      join(dir, 'token'),
    ]
    expect(await runCli(push)).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/of 24 different BTFs/) as string,
    })
    await ready('cli/1')
    const other = ['tool', 'push', 'else@1', join(dir, 'cli.bpf.o'), '--hub', hub.url]
    expect(await runCli(other, { BTFHUB_TOKEN: made.stdout })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is for tool:cli') as string,
    })
    expect(await runCli(['token', 'add', 'ci', '--scope', 'tools', ...data])).toMatchObject({ code: 1 })
    const list = await runCli(['token', 'list', ...data])
    expect(list.stdout).toContain('tool:cli')
    expect(list.stdout).not.toContain(made.stdout.trim())
    const rotated = await runCli(['token', 'rotate', 'ci', ...data])
    expect(await runCli(push)).toMatchObject({ code: 1 })
    expect(await runCli([...push.slice(0, -2)], { BTFHUB_TOKEN: rotated.stdout })).toMatchObject({ code: 0 })
    expect(await runCli(['token', 'rm', 'ci', ...data])).toMatchObject({ code: 0 })
    expect(await runCli(['token', 'rm', 'ci', ...data])).toMatchObject({ code: 3 })
  } finally {
    await rm(dir, { recursive: true })
  }
})
