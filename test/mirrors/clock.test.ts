import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { CrawlReport } from '../../cli/hub/crawl.ts'
import { type FaultProxy, startFaultProxy, status } from '../helpers/fault-proxy.ts'
import { type Fleet, missingFleetTool, openFleet } from './fleet.ts'
import { type FleetHub, openFleetHub } from './fleet-hub.ts'
import { kernelsIn, kernelsOf } from './hub-state.ts'
import { type FileServer, startNginx } from './servers.ts'

const missing = missingFleetTool()

describe.skipIf(missing !== null)(
  `a hub whose clock jumps (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-clock-'))
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

    async function open(): Promise<{ hub: FleetHub; mirror: FaultProxy; crawl(): Promise<CrawlReport> }> {
      const [mirror, hub] = [await startFaultProxy(nginx.url), await openFleetHub()]
      onTestFinished(async () => {
        await mirror.close()
        await hub.cleanUp()
      })
      const place = { distro: 'anolis', versions: ['8'], mirrors: [`${mirror.url}/anolis`] }
      return { hub, mirror, crawl: () => hub.crawl(place) }
    }

    it('tries again at once what failed while it was fifteen years ahead', async () => {
      const { hub, mirror, crawl } = await open()
      mirror.infect({ on: /\.rpm$/, fault: status(404) })
      hub.laterByDays(15 * 365)
      expect(await crawl()).toMatchObject({ failed: kernelsOf(fleet, 'anolis').length })
      mirror.heal()
      hub.laterByDays(-15 * 365)
      expect(await crawl()).toMatchObject({ failed: 0, waiting: 0 })
      expect(await kernelsIn(hub.store)).toEqual(kernelsOf(fleet, 'anolis'))
      expect(await hub.store.catalog.failures()).toEqual([])
    })

    it('keeps what it has, calls nothing gone and fetches nothing again, whichever way it jumps', async () => {
      const { hub, crawl } = await open()
      await crawl()
      for (const days of [-20 * 365, 40 * 365]) {
        hub.laterByDays(days)
        expect(await crawl()).toMatchObject({ builds: [], gone: [], failed: 0 })
        expect(await kernelsIn(hub.store)).toEqual(kernelsOf(fleet, 'anolis'))
      }
    })
  },
)
