import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseBtf } from '../../btf/index.ts'
import { bzImage, compress, payload } from '../../extractor/image.fixture.ts'
import { makeKernel } from '../../extractor/kernel.fixture.ts'
import { makeModule } from '../../extractor/modules.fixture.ts'
import { audit } from '../../store/index.ts'
import { addPackage, makeKey, writeSuite } from '../apt-repository.ts'
import { corrupt, type FaultProxy, startFaultProxy, status } from '../helpers/fault-proxy.ts'
import { missingFleetTool } from './fleet.ts'
import { type FleetHub, openFleetHub } from './fleet-hub.ts'
import { buildRpms, createRepo } from './rpm-repository.ts'
import { type FileServer, startNginx } from './servers.ts'

const missing = missingFleetTool()

const EL9 = '5.14.0-500.el9.x86_64'
const NOBLE = '6.8.0-31-generic'
const repo = 'centos-stream/9-stream/BaseOS/x86_64/os'

describe.skipIf(missing !== null)(
  `modules of CentOS Stream 9 and Ubuntu 24.04, in packages of their own (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-modules-'))
    const root = join(work, 'root')
    let nginx: FileServer
    let mirror: FaultProxy
    let hub: FleetHub

    beforeAll(async () => {
      await addStream9()
      await addNoble()
      nginx = await startNginx(root, work)
    })
    afterAll(async () => {
      await nginx.close()
      rmSync(work, { recursive: true, force: true })
    })
    beforeEach(async () => {
      mirror = await startFaultProxy(nginx.url)
      hub = await openFleetHub()
    })
    afterEach(async () => {
      await mirror.close()
      await hub.cleanUp()
    })

    /** A kernel's image, and its modules as they are in packages: `NAME.ko` with this compression. */
    async function makeFiles(
      release: string,
      codec: 'xz' | 'zstd',
      names: readonly string[],
    ): Promise<{ readonly vmlinuz: string; readonly modules: readonly string[] }> {
      const dir = join(work, release)
      const kernel = await makeKernel(dir, release)
      const vmlinuz = join(dir, 'vmlinuz')
      writeFileSync(vmlinuz, bzImage(payload('gzip', kernel.stripped)))
      const modules: string[] = []
      for (const name of names) {
        const { ko } = await makeModule(dir, kernel, name)
        const path = join(dir, `${name}.packed`)
        writeFileSync(path, compress(codec, ko))
        modules.push(path)
      }
      return { vmlinuz, modules }
    }

    async function addStream9(): Promise<void> {
      const { vmlinuz, modules } = await makeFiles(EL9, 'xz', ['core', 'one', 'two', 'internal'])
      const id = { version: '5.14.0', release: '500.el9', arch: 'x86_64' }
      const ko = (name: string, at: number): Record<string, string> => ({
        [`/lib/modules/${EL9}/kernel/${name}.ko.xz`]: modules[at]!,
      })
      buildRpms(join(root, repo, 'Packages'), [
        { ...id, name: 'kernel-core', files: { [`/lib/modules/${EL9}/vmlinuz`]: vmlinuz } },
        { ...id, name: 'kernel-modules-core', ballast: 9, files: ko('core', 0) },
        { ...id, name: 'kernel-modules', ballast: 9, files: ko('one', 1) },
        { ...id, name: 'kernel-modules-extra', ballast: 9, files: ko('two', 2) },
        { ...id, name: 'kernel-modules-internal', ballast: 9, files: ko('internal', 3) },
      ])
      createRepo(join(root, repo), 'xml', '.gz')
      const empty = join(root, repo.replace('BaseOS', 'NFV'))
      mkdirSync(empty, { recursive: true })
      createRepo(empty, 'xml', '.gz')
    }

    async function addNoble(): Promise<void> {
      const { vmlinuz, modules } = await makeFiles(NOBLE, 'zstd', ['net', 'extra', 'nvidia'])
      const add = (name: string, path: string, from: string, ballast = 1): void =>
        addPackage(join(root, 'ubuntu'), 'pool/main', {
          name: `${name}-${NOBLE}`,
          version: '6.8.0-31.31',
          arch: 'amd64',
          ballast,
          files: { [path]: from },
        })
      const tree = `lib/modules/${NOBLE}/kernel`
      add('linux-image-unsigned', `boot/vmlinuz-${NOBLE}`, vmlinuz, 8_000)
      add('linux-modules', `${tree}/net.ko.zst`, modules[0]!)
      add('linux-modules-extra', `${tree}/extra.ko.zst`, modules[1]!)
      add('linux-modules-nvidia-535', `${tree}/nvidia.ko.zst`, modules[2]!)
      const key = makeKey()
      const suite = { suite: 'noble', origin: 'Ubuntu', pool: 'pool/main', arches: ['amd64'] }
      writeSuite(join(root, 'ubuntu'), suite, key)
      key.remove()
      // Instead of what it remembers.
      mkdirSync(join(root, 'launchpad/ubuntu/+archive'), { recursive: true })
      writeFileSync(join(root, 'launchpad/ubuntu/+archive/primary'), 'down for maintenance')
    }

    const stream9 = (modules: boolean): Parameters<FleetHub['crawl']>[0] => ({
      distro: 'centos',
      versions: ['9'],
      mirrors: [`${mirror.url}/centos-stream`],
      modules,
    })
    const sizeOf = (name: string): number =>
      statSync(join(root, repo, 'Packages', `${name}-5.14.0-500.el9.x86_64.rpm`)).size
    /** Packages that the mirror was asked for since this was last called. */
    let seen = 0
    const asked = (): string[] => {
      const names = mirror.paths
        .slice(seen)
        .map((path) => decodeURIComponent(path.split('/').at(-1) ?? ''))
        .flatMap((file) => /^(.*?)(?:-\d.*\.rpm|_.*\.deb)$/.exec(file)?.[1] ?? [])
      seen = mirror.paths.length
      return names
    }
    beforeEach(() => (seen = 0))

    /** Names of the modules that the hub has of its one build; null where they were not taken in. */
    async function modulesInHub(): Promise<readonly string[] | null> {
      const [build] = await hub.store.catalog.builds()
      const found = await hub.store.catalog.modules(build!.id)
      if (found === null) return null
      const merged = parseBtf(await hub.store.blobs.read(found.merged.digest))
      for (const { name } of found.modules) expect(merged.idsByName(`${name}_state`)).toHaveLength(1)
      expect((await audit(hub.store, undefined, { graceMs: 0 })).problems).toEqual([])
      return found.modules.map(({ name }) => name)
    }

    it('are downloaded where they are asked for, to a build that is there too, and what they cost is planned', async () => {
      const without = await hub.crawl(stream9(false))
      expect(without.planned.map(({ bytes }) => bytes)).toEqual([sizeOf('kernel-core')])
      expect(without.builds).toMatchObject([{ outcome: 'embedded', modules: null }])
      expect(asked()).toEqual(['kernel-core'])
      expect(await modulesInHub()).toBeNull()

      const names = ['kernel-core', 'kernel-modules', 'kernel-modules-core', 'kernel-modules-extra']
      const later = await hub.crawl(stream9(true))
      expect(later.planned).toMatchObject([
        { bytes: names.map(sizeOf).reduce((a, b) => a + b), modules: true },
      ])
      expect(later.builds).toMatchObject([{ outcome: 'embedded', modules: 3, code: null }])
      expect(asked().sort()).toEqual(names)
      expect(await modulesInHub()).toEqual(['core', 'one', 'two'])
      expect(await hub.store.catalog.builds()).toHaveLength(1)

      expect(await hub.crawl(stream9(true))).toMatchObject({ known: 1, builds: [] })
      expect(asked()).toEqual([])
    })

    it('come with the kernel in one crawl, each package once', async () => {
      expect((await hub.crawl(stream9(true))).builds).toMatchObject([{ modules: 3 }])
      expect(asked().sort()).toEqual([
        'kernel-core',
        'kernel-modules',
        'kernel-modules-core',
        'kernel-modules-extra',
      ])
      expect(await modulesInHub()).toEqual(['core', 'one', 'two'])
    })

    it.each([
      ['missing', status(404), 'GONE'],
      ['corrupt', corrupt, 'BAD_DIGEST'],
      ['at an ill mirror', status(503), 'ILL'],
    ])(
      'are a failure of their own where one package is %s: the kernel is served, and they are tried again',
      async (_what, fault, code) => {
        mirror.infect({ on: /kernel-modules-extra-.*rpm$/, fault })
        const report = await hub.crawl(stream9(true))
        expect(report.builds).toMatchObject([
          { outcome: 'failed', code, btf: expect.any(String) as string, modules: null },
        ])
        expect(report.builds[0]?.reason).toMatch(/^modules: .*kernel-modules-extra/)
        expect(await hub.store.catalog.builds()).toHaveLength(1)
        expect(await modulesInHub()).toBeNull()
        expect(await hub.store.catalog.failures()).toMatchObject([{ code, tries: 1 }])

        expect(await hub.crawl(stream9(true))).toMatchObject({ waiting: 1, builds: [] })
        expect(await hub.crawl(stream9(false))).toMatchObject({ known: 1, waiting: 0 })
        hub.laterByDays(2)
        expect(await hub.crawl(stream9(true))).toMatchObject({ failed: 1 })
        expect(await hub.store.catalog.failures()).toMatchObject([{ tries: 2 }])
        mirror.heal()
        hub.laterByDays(4)
        expect((await hub.crawl(stream9(true))).builds).toMatchObject([{ modules: 3 }])
        expect(await modulesInHub()).toEqual(['core', 'one', 'two'])
        expect(await hub.store.catalog.failures()).toEqual([])
      },
    )

    it('wait where an index that may name more of them could not be read', async () => {
      mirror.infect({ on: /NFV/, fault: status(503) })
      expect((await hub.crawl(stream9(true))).builds).toMatchObject([{ outcome: 'embedded', modules: null }])
      expect(await hub.crawl(stream9(true))).toMatchObject({ waiting: 1, builds: [] })
      mirror.heal()
      expect((await hub.crawl(stream9(true))).builds).toMatchObject([{ modules: 3 }])
    })

    it('of Ubuntu come from linux-modules and -extra, and not from what others built; Launchpad need not be there', async () => {
      const mirrors = [`${mirror.url}/ubuntu`, `${mirror.url}/launchpad`]
      const report = await hub.crawl({ distro: 'ubuntu', versions: ['24.04'], mirrors, modules: true })
      expect(report.builds).toMatchObject([{ modules: 2 }])
      const failed = report.indexes.filter(({ outcome }) => outcome === 'failed')
      expect(failed.map(({ past }) => past)).toEqual([true])
      expect(asked().sort()).toEqual([
        `linux-image-unsigned-${NOBLE}`,
        `linux-modules-${NOBLE}`,
        `linux-modules-extra-${NOBLE}`,
      ])
      expect(await modulesInHub()).toEqual(['extra', 'net'])
    })
  },
)
