import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256Of } from '../core/digest.ts'
import { silentLog } from '../core/log.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { Problem, ResolveAnswer } from './api.ts'
import { type RunningRegistry, startRegistry } from './server.ts'

let store: TestStore
let hub: RunningRegistry

/** Kernels of one series, and where `tgid` lies in each: only a tool that reads it sees where they differ. */
const TGID_OFFSETS: Readonly<Record<number, number>> = { 10: 4, 12: 4, 20: 4, 22: 8, 30: 4, 32: 4 }
const name = (number: number): string => `6.1.0-${number}-amd64`

beforeAll(async () => {
  store = await openTestStore()
  for (const [number, offset] of Object.entries(TGID_OFFSETS)) {
    const btf = tinyKernel(offset, Number(number))
    await addKernel(store, { kernel: { release: name(Number(number)) }, btf })
  }
  await addKernel(store, { kernel: { release: name(32) }, key: 'test/again', btf: tinyKernel(12) })
  await addTool(store, 'pids', '1.0', compileTool(['pid']))
  await addTool(store, 'both', '1.0', compileTool(['pid', 'tgid']))
  hub = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
})

afterAll(async () => {
  await hub.stop()
  await store.cleanUp()
})

const SYSTEM = 'distro=debian&version=12&arch=x86_64'
const get = (path: string): Promise<Response> => fetch(hub.url + path)
const predicted = (tool: string, number: number, query = SYSTEM): Promise<Response> =>
  get(`/v1/min/${tool}/${name(number)}?predict=1&${query}`)

async function problemOf(response: Response): Promise<string> {
  return `${response.status} ${Problem.parse(await response.json()).code}`
}

describe('a kernel that is not here', () => {
  it('gets what both its neighbours have, marked as a guess that no cache keeps', async () => {
    const [before, answer] = await Promise.all([
      get(`/v1/min/both/${name(10)}?${SYSTEM}`),
      predicted('both', 11),
    ])
    expect(answer.status).toBe(200)
    expect(answer.headers.get('btfhub-match')).toBe('predicted')
    expect(answer.headers.get('btfhub-predicted-from')).toBe(
      'debian/12/x86_64/6.1.0-10-amd64 debian/12/x86_64/6.1.0-12-amd64',
    )
    expect(answer.headers.get('btfhub-kernel')).toBe('debian/12/x86_64/6.1.0-10-amd64')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const bytes = new Uint8Array(await answer.arrayBuffer())
    expect(bytes).toEqual(new Uint8Array(await before.arrayBuffer()))
    expect(answer.headers.get('btfhub-digest')).toBe(sha256Of(bytes))
  })

  it('gets the same through every route that takes a tool', async () => {
    const wanted = (await predicted('both', 11)).headers.get('btfhub-digest')
    const byQuery = await get(`/v1/btf/${name(11)}?tool=both&predict=1&${SYSTEM}`)
    expect(byQuery.headers.get('btfhub-digest')).toBe(wanted)
    const line = await (await predicted('both', 11, `${SYSTEM}&format=sha256`)).text()
    expect(line.slice(0, 64)).toBe(wanted)
    const resolved = await fetch(`${hub.url}/v1/resolve`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        release: name(11),
        distro: 'debian',
        version: '12',
        arch: 'x86_64',
        tool: 'both',
        predict: true,
      }),
    })
    const answer = ResolveAnswer.parse(await resolved.json())
    expect(answer.match).toBe('predicted')
    expect(answer.predicted_from?.map(({ release }) => release)).toEqual([name(10), name(12)])
    expect(answer.btf.digest).toBe(wanted)
  })

  it.each<[string, () => Promise<Response>, string]>([
    ['nobody asks for a guess', () => get(`/v1/min/both/${name(11)}?${SYSTEM}`), '404 NOT_FOUND'],
    ['its neighbours differ', () => predicted('both', 21), '404 NOT_FOUND'],
    ['builds of one neighbour differ', () => predicted('both', 31), '404 NOT_FOUND'],
    ['it has no newer neighbour', () => predicted('both', 33), '404 NOT_FOUND'],
    [
      'its flavour is not known',
      () => get(`/v1/min/both/6.1.0-11-rt-amd64?predict=1&${SYSTEM}`),
      '404 NOT_FOUND',
    ],
    ['its version was not said', () => predicted('both', 11, 'distro=debian&arch=x86_64'), '404 NOT_FOUND'],
    [
      'its architecture was not said',
      () => predicted('both', 11, 'distro=debian&version=12'),
      '404 NOT_FOUND',
    ],
    [
      'its distribution is another',
      () => predicted('both', 11, 'distro=ubuntu&version=12&arch=x86_64'),
      '404 NOT_FOUND',
    ],
    [
      'it is known as another build',
      () => predicted('both', 12, `${SYSTEM}&build_id=${'ab'.repeat(20)}`),
      '404 NOT_FOUND',
    ],
    ['the full BTF is wanted', () => get(`/v1/btf/${name(11)}?predict=1&${SYSTEM}`), '400 BAD_REQUEST'],
    [
      'a form with its name in it is wanted',
      () => predicted('both', 11, `${SYSTEM}&format=tar.xz`),
      '400 BAD_REQUEST',
    ],
  ])('gets none where %s', async (_, ask, expected) => {
    expect(await problemOf(await ask())).toBe(expected)
  })

  it('is judged for each tool by what that tool needs', async () => {
    expect((await predicted('pids', 21)).headers.get('btfhub-match')).toBe('predicted')
  })

  it('is told the truth from the moment that it is here, whatever was guessed before', async () => {
    const guess = await predicted('both', 11)
    await addKernel(store, { kernel: { release: name(11) }, btf: tinyKernel(16) })
    const real = await predicted('both', 11)
    expect(real.headers.get('btfhub-match')).toBe('release')
    expect(real.headers.get('btfhub-kernel')).toBe('debian/12/x86_64/6.1.0-11-amd64')
    expect(real.headers.get('btfhub-digest')).not.toBe(guess.headers.get('btfhub-digest'))
  })
})
