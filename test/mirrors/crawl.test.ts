import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { CrawlReport } from '../../cli/hub/crawl.ts'
import { captivePortal, type FaultProxy, startFaultProxy } from '../helpers/fault-proxy.ts'
import { type Fleet, missingFleetTool, openFleet } from './fleet.ts'
import { type FleetHub, openFleetHub } from './fleet-hub.ts'
import { hubFaults, kernelsIn, kernelsOf } from './hub-state.ts'
import { type FileServer, startNginx } from './servers.ts'

const missing = missingFleetTool()

const CENTOS = { distro: 'centos', versions: ['7'], release: /-957\.el7\.x86_64$/, jobs: 1 }
const ANOLIS = { distro: 'anolis', versions: ['8'], release: /^5\.10/, jobs: 1 }
const UBUNTU = { distro: 'ubuntu', versions: ['20.04'] }

describe.skipIf(missing !== null)(
  `crawls of CentOS 7, Anolis 8 and Ubuntu 20.04, and what they ask for (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-crawls-'))
    let fleet: Fleet
    let nginx: FileServer
    let mirror: FaultProxy
    let hub: FleetHub

    beforeAll(async () => {
      fleet = await openFleet()
      nginx = await startNginx(fleet.root, work)
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

    /** Packages that the mirror was asked for. */
    const packagesAskedFor = (): string[] =>
      mirror.paths
        .map((path) => decodeURIComponent(path.split('/').at(-1) ?? ''))
        .filter((name) => /\.(?:rpm|deb)$/.test(name))
    const outcomes = ({ builds }: CrawlReport): string[] =>
      builds.map(({ kernel, outcome, reason }) => `${kernel} ${outcome} ${reason ?? ''}`.trim())

    it('CentOS 7: BTF from debuginfo, without a look at an image that is known to have none; then nothing', async () => {
      const centos = { ...CENTOS, mirrors: [`${mirror.url}/centos-vault`] }
      expect(outcomes(await hub.crawl(centos))).toEqual(['centos/7/x86_64/3.10.0-957.el7.x86_64 dwarf'])
      expect(packagesAskedFor()).toEqual(['kernel-debuginfo-3.10.0-957.el7.x86_64.rpm'])
      const [build] = await hub.store.catalog.builds()
      expect(build).toMatchObject({
        kernel: { distro: 'centos', version: '7', arch: 'x86_64', release: '3.10.0-957.el7.x86_64' },
        provenance: { packageName: 'kernel-debuginfo', packageVersion: '3.10.0-957.el7', origin: 'dwarf' },
      })
      // The host of debuginfo has lost its repodata: its page says no digest.
      expect(build?.provenance.verified).toBe('none')
      expect(await hub.crawl(centos)).toMatchObject({ known: 1, builds: [], failed: 0 })
      expect(packagesAskedFor()).toHaveLength(1)
    })

    it('Anolis 8: one probe teaches that older images have none, and takes nothing from newer ones', async () => {
      const report = await hub.crawl({ ...ANOLIS, mirrors: [`${mirror.url}/anolis`] })
      expect(outcomes(report)).toEqual([
        'anolis/8/x86_64/5.10.134-16.1.an8.x86_64 embedded',
        'anolis/8/x86_64/5.10.134-13.an8.x86_64 dwarf',
        'anolis/8/x86_64/5.10.134-12.1.an8.x86_64 dwarf',
      ])
      expect(packagesAskedFor()).toEqual([
        'kernel-core-5.10.134-16.1.an8.x86_64.rpm',
        'kernel-core-5.10.134-13.an8.x86_64.rpm',
        'kernel-debuginfo-5.10.134-13.an8.x86_64.rpm',
        'kernel-debuginfo-5.10.134-12.1.an8.x86_64.rpm',
      ])
      for (const { provenance } of await hub.store.catalog.builds()) {
        expect(provenance).toMatchObject({ verified: 'index' })
        expect(provenance.banner).toMatch(/^Linux version 5\.10\.134-/)
        expect(provenance.buildId).not.toBeNull()
      }
    })

    it('Ubuntu 20.04: a series with BTF ends nothing, kernels of others come after it', async () => {
      const report = await hub.crawl({ ...UBUNTU, mirrors: [`${mirror.url}/ubuntu`] })
      expect(outcomes(report).sort()).toEqual([
        'ubuntu/20.04/x86_64/5.15.0-91-generic embedded',
        'ubuntu/20.04/x86_64/5.4.0-26-generic dwarf',
        'ubuntu/20.04/x86_64/5.4.0-42-generic dwarf',
      ])
      expect(await kernelsIn(hub.store)).toEqual(kernelsOf(fleet, 'ubuntu'))
      // The empty debug package of the signed twin was not worth a look.
      expect(packagesAskedFor().filter((name) => name.startsWith('linux-image-5.4.0-42'))).toEqual([])
    })

    it('a package that is corrupt at one mirror comes from the next; at every mirror it is a failure, never a BTF', async () => {
      mirror.infect({ on: /\.rpm$/, fault: captivePortal })
      const both = [mirror, nginx].map(({ url }) => `${url}/anolis`)
      const alone = await hub.crawl({ ...ANOLIS, mirrors: both.slice(0, 1) })
      expect(alone).toMatchObject({ failed: 3 })
      expect(await hub.store.catalog.builds()).toEqual([])
      expect((await hub.store.catalog.failures()).map(({ tries }) => tries)).toEqual([1, 1, 1])
      hub.laterByDays(2)
      expect(await hub.crawl({ ...ANOLIS, mirrors: both })).toMatchObject({ failed: 0 })
      expect(await hub.store.catalog.builds()).toHaveLength(3)
      expect(await hubFaults(hub.store, fleet)).toEqual([])
    })
  },
)
