import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openStore } from '../../store/index.ts'
import { run } from '../main.ts'
import type { Terminal } from '../terminal.ts'

let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  await (await openStore(join(dir, 'data'))).close()
})
afterAll(() => rm(dir, { recursive: true }))

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs `serve` until it ends by itself, or until `whileServing` has. */
async function serve(
  args: readonly string[],
  env: Record<string, string> = {},
  whileServing: (url: string) => Promise<void> = () => Promise.resolve(),
): Promise<Ended> {
  const said = { out: '', err: '' }
  const terminal = {
    isInteractive: false,
    out: (text: string) => void (said.out += `${text}\n`),
    err: (text: string) => void (said.err += `${text}\n`),
  } as unknown as Terminal
  const stop = new AbortController()
  const argv = ['node', 'btfhub', 'serve', '--data', join(dir, 'data'), '--port', '0', ...args]
  let hasEnded = false
  const ended = run(argv, terminal, env, stop.signal).finally(() => (hasEnded = true))
  while (!hasEnded && !said.err.includes('serving ')) await sleep(10)
  const url = /on (http:\S+)/.exec(said.err)?.[1]
  if (url !== undefined) await whileServing(url).finally(() => stop.abort())
  return { code: await ended, ...said }
}

it('prints what would hold, and does nothing', async () => {
  const { code, out, err } = await serve(['--rate-limit', '5', '--print-config'], { BTFHUB_WAIT: '3s' })
  expect([code, err]).toEqual([0, ''])
  expect(out).toContain('rate-limit: 5 # option\n')
  expect(out).toContain('wait: 3s # environment\n')
})

it('tells where a configuration is wrong', async () => {
  const file = join(dir, 'hub.yaml')
  await writeFile(file, 'host: 127.0.0.1\nupstreams: [http://a]\n')
  const { code, err } = await serve(['--config', file])
  expect([code, err]).toEqual([
    2,
    `btfhub: ${file}:2:1: upstreams: no such setting; there are: upstream, upstream-key\n`,
  ])
})

it('serves a folder that takes no writes, but takes nothing in there', async () => {
  const { code } = await serve(['--read-only', '--drain-notice', '0s'], {}, async (url) => {
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    expect((await fetch(`${url}/v1/btf/none`)).status).toBe(404)
  })
  expect(code).toBe(0)
  const { code: refused, err } = await serve(['--read-only', '--upstream', 'http://127.0.0.1:9'])
  expect([refused, err]).toEqual([2, expect.stringContaining('takes no writes')])
})

it('says that it is not ready before it stops to listen', async () => {
  const stopping: Promise<number>[] = []
  const { code } = await serve(['--drain-notice', '1s'], {}, async (url) => {
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    stopping.push(sleep(300).then(async () => (await fetch(`${url}/readyz`)).status))
  })
  expect([code, ...(await Promise.all(stopping))]).toEqual([0, 503])
})

it('a port that is taken is an error, and nothing is left running', async () => {
  await serve(['--drain-notice', '0s'], {}, async (url) => {
    const { code, err } = await serve(['--port', new URL(url).port, '--upstream', 'http://127.0.0.1:9'])
    expect([code, err]).toEqual([1, expect.stringContaining('EADDRINUSE')])
  })
})
