import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { layoutDigest, parseBtf } from '../../btf/index.ts'
import { sha256Of } from '../../core/digest.ts'
import { openStore } from '../../store/index.ts'
import { btfhub, type CliResult, runCli, startCli } from '../../test/helpers/cli.ts'
import { type FaultProxy, reset, startFaultProxy, truncated } from '../../test/helpers/fault-proxy.ts'
import { serveFiles } from '../../test/helpers/file-server.ts'
import { nightly } from '../../test/helpers/nightly.ts'
import { plausibleKernel } from '../../test/helpers/plausible-kernel.ts'
import { compileTool } from '../../test/helpers/registry.ts'
import { openTestStore, sampleBuild, type TestStore } from '../../test/helpers/store.ts'
import { exportTo, testKey } from '../../test/helpers/export.ts'

const KERNELS = 12
const KILLS = nightly ? 15 : 3
const key = testKey()
const releaseOf = (i: number): string => `6.1.0-${i}-amd64`

let store: TestStore
let dir: string
let tree: string
let server: Awaited<ReturnType<typeof serveFiles>>
let proxy: FaultProxy

beforeAll(async () => {
  store = await openTestStore()
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  for (let i = 0; i < KERNELS; i++) {
    const btf = plausibleKernel(16 + i * 4)
    await store.blobs.put(btf)
    const kernel = { distro: 'debian', version: '12', arch: 'x86_64', release: releaseOf(i) } as const
    const build = sampleBuild({ kernel, btf })
    await store.catalog.addBuild({ ...build, layoutDigest: layoutDigest(parseBtf(btf)) })
  }
  const object = { name: 'pids.bpf.o', ...(await store.blobs.put(compileTool(['pid']))) }
  await store.catalog.addTool({ name: 'pids', version: '1', objects: [object] })
  tree = join(dir, 'tree')
  await exportTo(tree, store, key, { forms: [] })
  server = await serveFiles(tree)
  proxy = await startFaultProxy(server.url)
}, 60_000)

afterAll(async () => {
  await proxy.close()
  server.close()
  await store.cleanUp()
  await rm(dir, { recursive: true })
})

const importFrom = (source: string, data: string): Promise<CliResult> =>
  runCli(['import', source, '--key', key.publicKey, '--data', data])

/** What a hub has: its builds are those of the export or none, and all that it points at is sound. */
async function builds(data: string): Promise<number> {
  await btfhub(['verify', '--data', data])
  const own = await openStore(data)
  try {
    const found = await own.catalog.builds()
    for (const { kernel, btf } of found) {
      const i = Number(kernel.release.split('-')[1])
      expect(btf.digest).toBe(sha256Of(plausibleKernel(16 + i * 4)))
    }
    return found.length
  } finally {
    await own.close()
  }
}

it('a second import of the same export changes nothing, and says so', { timeout: 120_000 }, async () => {
  const data = join(dir, 'twice')
  const first = await importFrom(tree, data)
  expect([first.code, first.stderr.trim()]).toEqual([
    0,
    `${KERNELS + 1} imported, 0 known already, 0 skipped, 0 failed`,
  ])
  const own = await openStore(data)
  const state = async (): Promise<unknown> => [
    await own.catalog.generation(),
    await own.catalog.minChanges(),
    await own.catalog.builds(),
  ]
  const before = await state()
  const second = await importFrom(tree, data)
  expect([second.code, second.stderr.trim()]).toEqual([
    0,
    `0 imported, ${KERNELS + 1} known already, 0 skipped, 0 failed`,
  ])
  expect(await state()).toEqual(before)
  await own.close()
})

it(
  `an import that is killed ${KILLS} times leaves a sound hub, and the last one completes it`,
  {
    timeout: 300_000,
  },
  async () => {
    const data = join(dir, 'killed')
    const watched = await openStore(data)
    const count = async (): Promise<number> => (await watched.catalog.builds()).length
    let [known, hits] = [0, 0]
    for (let i = 0; i < KILLS; i++) {
      const child = startCli(['import', tree, '--key', key.publicKey, '--data', data])
      const ended = once(child, 'close')
      // In the middle of a build, wherever that is on this machine.
      while (child.exitCode === null && (await count()) === known) await sleep(5)
      await sleep(Math.random() * 30)
      if (child.exitCode === null) hits++
      child.kill('SIGKILL')
      await ended
      const now = await builds(data)
      expect(now).toBeGreaterThanOrEqual(known)
      known = now
    }
    await watched.close()
    expect(hits).toBeGreaterThan(0)
    expect((await importFrom(tree, data)).code).toBe(0)
    expect(await builds(data)).toBe(KERNELS)
    expect((await importFrom(tree, data)).stderr).toContain(`0 imported, ${KERNELS + 1} known already`)
  },
)

it.each([
  ['resets', reset],
  ['ends early', truncated],
] as const)(
  'an import whose connection %s takes in the rest, says what failed, and completes when it is begun again',
  { timeout: 120_000 },
  async (name, fault) => {
    const data = join(dir, name)
    const digest = sha256Of(plausibleKernel(16))
    proxy.infect({ on: new RegExp(`sha256/${digest}$`), fault })
    const first = await importFrom(proxy.url, data)
    expect(proxy.hits()).toBeGreaterThan(0)
    proxy.heal()
    expect([first.code, first.stderr]).toEqual([1, expect.stringContaining('1 failed')])
    expect(first.stderr).toContain(`debian/12/x86_64/${releaseOf(0)}: FAILED: `)
    expect(await builds(data)).toBe(KERNELS - 1)
    const second = await importFrom(proxy.url, data)
    expect([second.code, second.stderr]).toEqual([0, expect.stringContaining('1 imported')])
    expect(await builds(data)).toBe(KERNELS)
  },
)
