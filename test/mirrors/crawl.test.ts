import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type CrawlDeps,
  type CrawlOptions,
  type CrawlReport,
  planCrawl,
  runCrawl,
} from '../../cli/hub/crawl.ts'
import { silentLog } from '../../core/log.ts'
import { noProgress } from '../../core/progress.ts'
import { packageRoot } from '../../core/version.ts'
import { createSources, type IndexCache, loadSources, memoryIndexCache } from '../../crawler/index.ts'
import { TempSpace } from '../../extractor/index.ts'
import { bzImage, payload } from '../../extractor/image.fixture.ts'
import { makeKernel, type SampleKernel } from '../../extractor/kernel.fixture.ts'
import { openTestStore, type TestStore } from '../helpers/store.ts'
import { addPackage, makeKey, missingAptTool, type TestKey, writeSuite } from '../apt-repository.ts'
import type { Loopback } from '../loopback.ts'
import { useMirrorLab } from './lab.ts'
import { buildRpms, createRepo, missingRpmTool } from './rpm-repository.ts'

const missing =
  missingRpmTool() ??
  missingAptTool() ??
  ['gcc', 'objcopy', 'pahole'].find((tool) => spawnSync(tool, ['--version']).status !== 0) ??
  null

/** Kernels that have no BTF in their image, and those that have. */
const PLAIN = ['3.10.0-957.el7', '5.10.134-12.1.an8', '5.10.134-13.an8'] as const
const WITH_BTF = ['5.10.134-16.1.an8', '5.15.0-91-generic'] as const

describe.skipIf(missing !== null)(
  `crawls of CentOS 7, Anolis 8 and Ubuntu 20.04, from their mirrors to BTF (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const lab = useMirrorLab()
    const root = join(lab.work, 'root')
    const kernels = new Map<string, SampleKernel>()
    let key: TestKey
    let store: TestStore

    /** The path of a kernel's image on this machine, packed as distributions do. */
    async function imageOf(kernel: SampleKernel, elf: Buffer): Promise<string> {
      const path = join(lab.work, `${kernel.release}.vmlinuz`)
      writeFileSync(path, bzImage(payload('gzip', elf)))
      return Promise.resolve(path)
    }

    async function rpmKernel(
      dir: string,
      debugDir: string,
      image: string,
      evr: string,
      embedded: boolean,
    ): Promise<void> {
      const [version = '', release = ''] = evr.split('-')
      const kernel = await makeKernel(join(lab.work, 'kernels', evr), `${evr}.x86_64`)
      kernels.set(kernel.release, kernel)
      const vmlinuz = await imageOf(kernel, embedded ? kernel.stripped : await readFile(kernel.bare))
      const id = { version, release, arch: 'x86_64' }
      buildRpms(join(root, dir, 'Packages'), [
        { name: image, ...id, files: { [`/lib/modules/${kernel.release}/vmlinuz`]: vmlinuz } },
      ])
      buildRpms(join(root, debugDir, 'Packages'), [
        {
          name: 'kernel-debuginfo',
          ...id,
          files: { [`/usr/lib/debug/lib/modules/${kernel.release}/vmlinux`]: kernel.withoutBtf },
        },
      ])
    }

    beforeAll(async () => {
      key = makeKey()
      mkdirSync(lab.keysDir, { recursive: true })
      store = await openTestStore()
      await rpmKernel(
        'centos-vault/7.6.1810/os/x86_64',
        'centos-debuginfo/7/x86_64',
        'kernel',
        PLAIN[0],
        false,
      )
      createRepo(join(root, 'centos-vault/7.6.1810/os/x86_64'), 'xml', '.gz')
      createRepo(join(root, 'centos-debuginfo/7/x86_64'), 'sqlite', '.bz2')
      for (const evr of [PLAIN[1], PLAIN[2], WITH_BTF[0]]) {
        await rpmKernel(
          'anolis/8/kernel-5.10/x86_64/os',
          'anolis/8/kernel-5.10/x86_64/debug',
          'kernel-core',
          evr,
          evr === WITH_BTF[0],
        )
      }
      createRepo(join(root, 'anolis/8/kernel-5.10/x86_64/os'), 'xml', '.xz')
      createRepo(join(root, 'anolis/8/kernel-5.10/x86_64/debug'), 'xml', '.zst')
      const ubuntu = await makeKernel(join(lab.work, 'kernels/ubuntu'), WITH_BTF[1])
      kernels.set(ubuntu.release, ubuntu)
      const vmlinuz = await imageOf(ubuntu, ubuntu.stripped)
      const name = `linux-image-${ubuntu.release}`
      addPackage(join(root, 'ubuntu'), 'pool/main', {
        name,
        version: '5.15.0-91.101~20.04.1',
        arch: 'amd64',
        ballast: 9000,
        files: { [`boot/vmlinuz-${ubuntu.release}`]: vmlinuz },
      })
      writeSuite(
        join(root, 'ubuntu'),
        { suite: 'focal', origin: 'Ubuntu', pool: 'pool/main', arches: ['amd64'] },
        key,
      )
    }, 240_000)

    afterAll(async () => {
      key.remove()
      await store.cleanUp()
    })

    async function crawl(
      id: string,
      version: string,
      mirrors: readonly string[],
      cache: IndexCache = memoryIndexCache(),
    ): Promise<CrawlReport & { readonly requests: number }> {
      const files = (await loadSources(join(packageRoot, 'data/sources'))).filter((file) => file.id === id)
      const http = lab.http()
      const deps: CrawlDeps = {
        http,
        catalog: store.catalog,
        blobs: store.blobs,
        tempDir: store.tempDir,
        tempSpace: new TempSpace(store.tempDir),
        log: silentLog,
        now: () => new Date(),
        sources: createSources(files, {
          keysDir: lab.keysDir,
          aptRoot: lab.work,
          tempDir: store.tempDir,
          now: () => new Date(),
        }),
        context: { http, cache, log: silentLog, signal: new AbortController().signal },
        progress: noProgress,
        onBuild: () => Promise.resolve(),
      }
      const options: CrawlOptions = {
        scope: { versions: [version], arches: ['x86_64'], mirrors },
        arches: ['x86_64'],
        release: null,
        newest: null,
        limit: null,
        jobs: 1,
        paholeJobs: 1,
        forceDwarf: false,
        verify: true,
        retryFailed: false,
      }
      const report = await runCrawl(await planCrawl(options, deps), options, deps)
      return { ...report, requests: http.stats().requests }
    }

    /** Packages that a server was asked for. */
    const packagesAskedOf = (server: Loopback): string[] =>
      server.requests
        .map(
          (req) =>
            decodeURIComponent(req.url ?? '')
              .split('/')
              .at(-1) ?? '',
        )
        .filter((name) => /\.(?:rpm|deb)$/.test(name))

    const outcomes = (report: CrawlReport): string[] =>
      report.builds.map(({ kernel, outcome, reason }) => `${kernel} ${outcome} ${reason ?? ''}`.trim())

    it('CentOS 7: BTF from debuginfo, without a look at an image that is known to have none; then nothing', async () => {
      const server = await lab.serve(root)
      const cache = memoryIndexCache()
      const report = await crawl('centos', '7', [`${server.url}/centos-vault`], cache)
      expect(outcomes(report)).toEqual(['centos/7/x86_64/3.10.0-957.el7.x86_64 dwarf'])
      expect(packagesAskedOf(server)).toEqual(['kernel-debuginfo-3.10.0-957.el7.x86_64.rpm'])
      const [build] = await store.catalog.builds({ distro: 'centos' })
      expect(build?.provenance).toMatchObject({
        packageName: 'kernel-debuginfo',
        packageVersion: '3.10.0-957.el7',
        verified: 'index',
        origin: 'dwarf',
      })
      expect(build?.kernel).toEqual({
        distro: 'centos',
        version: '7',
        arch: 'x86_64',
        release: '3.10.0-957.el7.x86_64',
      })
      const again = await crawl('centos', '7', [`${server.url}/centos-vault`], cache)
      expect(again).toMatchObject({ known: 1, builds: [], failed: 0 })
      expect(packagesAskedOf(server)).toHaveLength(1)
    })

    it('Anolis 8: one probe teaches that older images have none, and takes nothing from newer ones', async () => {
      const server = await lab.serve(root)
      const report = await crawl('anolis', '8', [`${server.url}/anolis`])
      expect(outcomes(report)).toEqual([
        'anolis/8/x86_64/5.10.134-16.1.an8.x86_64 embedded',
        'anolis/8/x86_64/5.10.134-13.an8.x86_64 dwarf',
        'anolis/8/x86_64/5.10.134-12.1.an8.x86_64 dwarf',
      ])
      expect(packagesAskedOf(server)).toEqual([
        'kernel-core-5.10.134-16.1.an8.x86_64.rpm',
        'kernel-core-5.10.134-13.an8.x86_64.rpm',
        'kernel-debuginfo-5.10.134-13.an8.x86_64.rpm',
        'kernel-debuginfo-5.10.134-12.1.an8.x86_64.rpm',
      ])
      const builds = await store.catalog.builds({ distro: 'anolis' })
      for (const { kernel, provenance } of builds) {
        expect(provenance.banner).toBe(kernels.get(kernel.release)?.banner)
        expect(provenance.buildId).not.toBeNull()
      }
    })

    it('Ubuntu 20.04: BTF from an image of the archive', async () => {
      const server = await lab.serve(root)
      const report = await crawl('ubuntu', '20.04', [`${server.url}/ubuntu`])
      expect(outcomes(report)).toEqual(['ubuntu/20.04/x86_64/5.15.0-91-generic embedded'])
      const [build] = await store.catalog.builds({ distro: 'ubuntu' })
      expect(build?.provenance).toMatchObject({ packageVersion: '5.15.0-91.101~20.04.1', verified: 'index' })
    })

    it('a package that is corrupt at one mirror comes from the next; at every mirror it is a failure, never a BTF', async () => {
      const evil = await lab.serve(root, (req, res) => {
        if (req.url?.endsWith('.rpm') !== true) return false
        res.end('not a package')
        return true
      })
      const server = await lab.serve(root)
      await store.cleanUp()
      store = await openTestStore()
      const both = await crawl('centos', '7', [`${evil.url}/centos-vault`, `${server.url}/centos-vault`])
      expect(outcomes(both)).toEqual(['centos/7/x86_64/3.10.0-957.el7.x86_64 dwarf'])
      await store.cleanUp()
      store = await openTestStore()
      const alone = await crawl('centos', '7', [`${evil.url}/centos-vault`])
      expect(alone).toMatchObject({ failed: 1, builds: [{ outcome: 'failed', btf: null }] })
      expect(await store.catalog.builds()).toEqual([])
      expect(await store.catalog.failures()).toMatchObject([
        { kernel: { release: '3.10.0-957.el7.x86_64' }, code: alone.builds[0]?.code, tries: 1 },
      ])
    })
  },
)
