import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { OnDemand, type OnDemandOptions } from '../../cli/hub/on-demand.ts'
import { indexCache } from '../../cli/hub/sources.ts'
import { listSources } from '../../cli/hub/list-sources.ts'
import { sha256Of } from '../../core/digest.ts'
import { politeHosts } from '../../core/hosts.ts'
import { createHttp, type HttpClient } from '../../core/http-client.ts'
import { silentLog } from '../../core/log.ts'
import { createSources, type Source } from '../../crawler/index.ts'
import { SourceFile } from '../../crawler/schema.ts'
import { bzImage, payload } from '../../extractor/image.fixture.ts'
import { makeKernel, type SampleKernel } from '../../extractor/kernel.fixture.ts'
import type { JustInTimeOptions } from '../../registry/index.ts'
import { type RunningRegistry, startRegistry } from '../../registry/server.ts'
import type { Fault } from '../apt-lab.ts'
import { addPackage, makeKey, missingAptTool, type TestKey, writeSuite } from '../apt-repository.ts'
import { openTestStore, type TestStore } from '../helpers/store.ts'
import type { Loopback } from '../loopback.ts'
import { useMirrorLab } from './lab.ts'

const missing =
  missingAptTool() ??
  ['gcc', 'objcopy', 'pahole'].find((tool) => spawnSync(tool, ['--version']).status !== 0) ??
  null

const HWE = '5.15.0-91-generic'
const BROKEN = '5.15.0-92-generic'

describe.skipIf(missing !== null)(
  `kernels of an Ubuntu mirror, extracted while somebody asks (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const lab = useMirrorLab()
    const root = join(lab.work, 'ubuntu')
    let kernel: SampleKernel
    let key: TestKey
    let store: TestStore

    function addKernelPackage(suite: string, version: string, release: string, image: Buffer): void {
      const path = join(lab.work, 'vmlinuz')
      writeFileSync(path, image)
      const name = `linux-image-${release}`
      const files = { [`boot/vmlinuz-${release}`]: path }
      addPackage(root, `pool/${suite}`, { name, version, arch: 'amd64', ballast: 3000, files })
    }

    function publish(): void {
      for (const suite of ['focal', 'jammy']) {
        writeSuite(root, { suite, origin: 'Ubuntu', pool: `pool/${suite}`, arches: ['amd64'] }, key)
      }
    }

    beforeAll(async () => {
      key = makeKey()
      lab.trust(key)
      kernel = await makeKernel(join(lab.work, 'kernel'), HWE)
      const image = bzImage(payload('gzip', kernel.stripped))
      addKernelPackage('focal', '5.15.0-91.101~20.04.1', HWE, image)
      addKernelPackage('jammy', '5.15.0-91.101', HWE, image)
      addKernelPackage('focal', '5.15.0-92.102~20.04.1', BROKEN, Buffer.from('no kernel'))
      publish()
    })

    beforeEach(async () => {
      await store?.cleanUp()
      store = await openTestStore()
    })

    afterAll(async () => {
      key.remove()
      await store.cleanUp()
    })

    /** Two versions of Ubuntu, at one mirror. */
    function sources(mirror: Loopback): readonly Source[] {
      const file = SourceFile.parse({
        id: 'ubuntu',
        distro: 'ubuntu',
        arches: { x86_64: 'amd64' },
        politeness: { concurrency: 2, delayMs: 0, because: 'test' },
        indexes: [
          {
            format: 'apt',
            origins: ['Ubuntu'],
            keyrings: { system: [], shipped: ['test.asc'] },
            archives: [{ id: 'main', name: 'ubuntu', mirrors: [`${mirror.url}/ubuntu`] }],
            components: ['main'],
            versions: {
              '20.04': [{ archive: 'main', suite: 'focal' }],
              '22.04': [{ archive: 'main', suite: 'jammy' }],
            },
            names: {
              package: 'linux-image-{release}',
              image: ['linux-image-{release}'],
              debug: ['linux-image-{release}-dbgsym'],
              releases: ['(?<series>\\d+\\.\\d+)\\.\\d+-\\d+-(?<flavour>[a-z]+)'],
            },
          },
        ],
      })
      const now = (): Date => new Date()
      return createSources([file], { keysDir: lab.keysDir, aptRoot: lab.work, tempDir: store.tempDir, now })
    }

    function openHttp(): HttpClient {
      const bounds = { tries: 2, backoffBaseMs: 5, backoffMaxMs: 10 }
      return createHttp({ userAgent: 'test', hosts: politeHosts, log: silentLog, env: {}, bounds })
    }

    /** Records what the mirror lists, as a crawl does. */
    async function recordListing(mirror: Loopback): Promise<void> {
      const http = openHttp()
      const context = {
        http,
        cache: indexCache(store.catalog),
        log: silentLog,
        signal: new AbortController().signal,
      }
      await listSources(
        { versions: [], arches: [], mirrors: [] },
        { sources: sources(mirror), catalog: store.catalog, context, now: () => new Date() },
      )
      await http.close()
    }

    async function serve(
      mirror: Loopback,
      onDemand: Partial<OnDemandOptions> = {},
      justInTime: Partial<JustInTimeOptions> = {},
    ): Promise<{ registry: RunningRegistry; supplier: OnDemand; newBuilds: string[] }> {
      const newBuilds: string[] = []
      const supplier = new OnDemand(
        {
          ...store,
          sources: sources(mirror),
          cache: indexCache(store.catalog),
          openHttp,
          log: silentLog,
          now: () => new Date(),
          onBuild: async (build) => void newBuilds.push(build.key),
        },
        onDemand,
      )
      const deps = { ...store, log: silentLog, suppliers: [supplier], justInTime }
      const registry = await startRegistry(deps, { host: '127.0.0.1', port: 0 })
      lab.onClose(() => registry.stop())
      return { registry, supplier, newBuilds }
    }

    const packagesAskedOf = (mirror: Loopback): string[] =>
      mirror.requests.map(({ url }) => decodeURIComponent(url ?? '')).filter((url) => url.endsWith('.deb'))

    const mirrorWith = (fault?: Fault): Promise<Loopback> => lab.serve(lab.work, fault)

    it('fifty askers at once cost one extraction of each build of that name, and each gets the BTF', async () => {
      const mirror = await mirrorWith()
      await recordListing(mirror)
      const { registry, newBuilds } = await serve(mirror)
      const paths = [
        `/v1/btf/${HWE}?version=20.04`,
        `/ubuntu/22.04/x86_64/${HWE}.btf`,
        `/v1/btf/${HWE}?distro=ubuntu`,
      ]
      const answers = await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const answer = await fetch(registry.url + (paths[i % paths.length] ?? ''))
          return [answer.status, sha256Of(new Uint8Array(await answer.arrayBuffer()))] as const
        }),
      )
      for (const answer of answers) expect(answer).toEqual([200, sha256Of(kernel.btf)])
      expect(packagesAskedOf(mirror)).toHaveLength(2)
      const builds = await store.catalog.builds()
      expect(builds.map((build) => build.kernel.version).sort()).toEqual(['20.04', '22.04'])
      expect(builds[0]?.provenance).toMatchObject({
        source: 'ubuntu',
        origin: 'embedded',
        buildId: kernel.buildId,
      })
      expect(newBuilds).toHaveLength(2)
    })

    it('what no listing names costs no request, whatever it is', async () => {
      const mirror = await mirrorWith()
      await recordListing(mirror)
      const before = mirror.requests.length
      const { registry } = await serve(mirror)
      const asked = [
        '6.6.6-none',
        `${HWE}-not`,
        '../etc/passwd',
        `${HWE}?arch=aarch64`,
        `${HWE}?distro=debian`,
      ]
      for (const release of asked) {
        const { status } = await fetch(`${registry.url}/v1/btf/${release}`)
        expect(status).toBe(404)
      }
      expect(mirror.requests).toHaveLength(before)
    })

    it('who does not want to wait so long is told when to come again, and then gets it', async () => {
      const mirror = await mirrorWith()
      await recordListing(mirror)
      const { registry } = await serve(mirror, {}, { waitMs: 1 })
      const ask = (): Promise<Response> =>
        fetch(`${registry.url}/v1/resolve`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ release: HWE, version: '20.04' }),
        })
      const first = await ask()
      expect([first.status, first.headers.get('retry-after')]).toEqual([202, '2'])
      const start = Date.now()
      while ((await ask()).status === 202 && Date.now() - start < 20_000) await sleep(50)
      expect((await ask()).status).toBe(200)
    })

    it('a package without a BTF is a failure with its reason, and is not fetched for every asker', async () => {
      const mirror = await mirrorWith()
      await recordListing(mirror)
      const { registry } = await serve(mirror, {}, { absentMs: 0 })
      for (let i = 0; i < 3; i++) {
        const answer = await fetch(`${registry.url}/v1/btf/${BROKEN}`)
        expect(answer.status).toBe(404)
        expect(await answer.text()).toContain('it is listed, but gave no BTF')
      }
      expect(packagesAskedOf(mirror)).toHaveLength(1)
      expect(await store.catalog.failures()).toMatchObject([{ kernel: { release: BROKEN }, tries: 1 }])
    })

    it('a mirror that is ill is 503, not 404', async () => {
      let isIll = true
      const mirror = await mirrorWith((req, res) => {
        if (!isIll || req.url?.endsWith('.deb') !== true) return false
        res.writeHead(503).end()
        return true
      })
      await recordListing(mirror)
      const { registry } = await serve(mirror, {}, { illMs: 0 })
      const answer = await fetch(`${registry.url}/v1/btf/${HWE}`)
      expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('answered 503')])
      isIll = false
      // It is left alone for some minutes.
      expect((await fetch(`${registry.url}/v1/btf/${HWE}`)).status).toBe(503)
    })

    it('what is offered no longer is 404, also where the listing that was recorded is old', async () => {
      const old = await mirrorWith()
      await recordListing(old)
      const kept = join(lab.work, 'kept')
      spawnSync('mv', [join(root, 'pool/jammy'), kept])
      spawnSync('mv', [join(root, 'pool/focal'), `${kept}-focal`])
      spawnSync('mkdir', ['-p', join(root, 'pool/jammy'), join(root, 'pool/focal')])
      try {
        publish()
        const mirror = await mirrorWith()
        const { registry } = await serve(mirror)
        const answer = await fetch(`${registry.url}/v1/btf/${HWE}`)
        expect([answer.status, await answer.text()]).toEqual([
          404,
          expect.stringContaining('offers it no longer'),
        ])
        expect(packagesAskedOf(mirror)).toEqual([])
      } finally {
        rmSync(join(root, 'pool'), { recursive: true })
        spawnSync('mkdir', ['-p', join(root, 'pool')])
        spawnSync('mv', [kept, join(root, 'pool/jammy')])
        spawnSync('mv', [`${kept}-focal`, join(root, 'pool/focal')])
        publish()
      }
    })

    it('lists sources itself where no crawl has, and again when the listing is old', async () => {
      const mirror = await mirrorWith()
      const { registry, supplier } = await serve(mirror, {}, { absentMs: 0 })
      expect((await fetch(`${registry.url}/v1/btf/${HWE}`)).status).toBe(404)
      supplier.start()
      const start = Date.now()
      while ((await fetch(`${registry.url}/v1/btf/${HWE}`)).status !== 200 && Date.now() - start < 40_000) {
        await sleep(200)
      }
      expect((await fetch(`${registry.url}/v1/btf/${HWE}`)).status).toBe(200)
    })

    it('stopping breaks off what is under way, and the next start begins anew', async () => {
      const mirror = await mirrorWith((req) => req.url?.endsWith('.deb') === true)
      await recordListing(mirror)
      const { registry } = await serve(mirror)
      const asking = fetch(`${registry.url}/v1/btf/${HWE}`)
      while (packagesAskedOf(mirror).length === 0) await sleep(20)
      const start = Date.now()
      await registry.stop()
      expect((await asking).status).toBe(503)
      expect(Date.now() - start).toBeLessThan(5000)
      expect(await store.catalog.builds()).toEqual([])
      expect(await store.catalog.failures()).toEqual([])
      const well = await mirrorWith()
      const { registry: again } = await serve(well)
      expect((await fetch(`${again.url}/v1/btf/${HWE}`)).status).toBe(200)
    })
  },
)
