import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { openStore } from '../../store/index.ts'
import { type CliResult, runCli } from '../helpers/cli.ts'
import { startFaultProxy } from '../helpers/fault-proxy.ts'
import { type Fleet, fleetArgs, missingFleetTool, openFleet } from './fleet.ts'
import { openFleetHub } from './fleet-hub.ts'
import { hubFaults, kernelsIn, kernelsOf } from './hub-state.ts'
import { type FileServer, startNginx } from './servers.ts'

const missing = missingFleetTool()

describe.skipIf(missing !== null)(
  `crawls that somebody or something works against (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-attacks-'))
    let fleet: Fleet
    let nginx: FileServer

    beforeAll(async () => {
      fleet = await openFleet()
      nginx = await startNginx(fleet.root, work)
    })
    afterAll(async () => {
      await nginx.close()
      rmSync(work, { recursive: true, force: true })
    })

    const crawl = (data: string): Promise<CliResult> =>
      runCli([...fleetArgs(nginx.url, fleet.root), '--data', data])

    async function expectWhole(data: string): Promise<void> {
      const store = await openStore(data)
      try {
        expect(await kernelsIn(store)).toEqual(kernelsOf(fleet))
        expect(await hubFaults(store, fleet)).toEqual([])
      } finally {
        await store.close()
      }
    }

    it('two at once on one hub: one does it all, the other ends at once and says who is at it', async () => {
      const data = join(work, 'two')
      const both = await Promise.all([crawl(data), crawl(data)])
      const [refused, done] = both.sort((a, b) => (b.code ?? 0) - (a.code ?? 0))
      expect(done?.code).toBe(0)
      expect(refused?.code).not.toBe(0)
      expect(refused?.stderr).toMatch(
        /another crawl is under way in this data folder: (?:process \d+|a process)/,
      )
      await expectWhole(data)
    })

    it.skipIf(process.getuid?.() !== 0)(
      'a disk that fills up: the crawl says so, and goes on where there is room again (skipped without root)',
      async () => {
        const disk = join(work, 'disk')
        mkdirSync(disk)
        const mount = (options: string): void =>
          void execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', disk])
        mount('size=900k')
        onTestFinished(() => void spawnSync('umount', [disk]))
        const data = join(disk, 'hub')
        const full = await crawl(data)
        expect(full.code).not.toBe(0)
        expect(full.stderr).toMatch(/no space|ENOSPC|disk is full|full/i)
        mount('remount,size=200m')
        // What could not be written is no fault of the packages: nothing has to wait for another night.
        const later = await crawl(data)
        expect([later.code, later.stderr.includes(' 0 waiting')]).toEqual([0, true])
        await expectWhole(data)
      },
    )

    it('a package that is another kernel than its name says, where no index has a digest: never that BTF', async () => {
      const mirror = await startFaultProxy(nginx.url)
      const hub = await openFleetHub()
      onTestFinished(async () => {
        await mirror.close()
        await hub.cleanUp()
      })
      const other = join(fleet.root, 'centos-debuginfo/7/x86_64/kernel-debuginfo-3.10.0-957.el7.x86_64.rpm')
      mirror.infect({
        on: /kernel-debuginfo-3\.10\.0-1160/,
        fault: ({ res }) => void res.writeHead(200).end(readFileSync(other)),
      })
      const centos = { distro: 'centos', versions: ['7'], mirrors: [`${mirror.url}/centos-vault`] }
      const report = await hub.crawl(centos)
      expect(report.builds.filter(({ outcome }) => outcome === 'failed')).toMatchObject([
        { kernel: 'centos/7/x86_64/3.10.0-1160.119.1.el7.x86_64', code: 'NOT_FOUND' },
      ])
      expect(await hubFaults(hub.store, fleet)).toEqual([])
      expect(await kernelsIn(hub.store)).toHaveLength(2)
    })
  },
)
