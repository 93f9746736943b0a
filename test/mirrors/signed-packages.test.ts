import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { CrawlReport } from '../../cli/hub/crawl.ts'
import { makeKey } from '../apt-repository.ts'
import { type Fleet, FLEET_KEY, missingFleetTool, openFleet } from './fleet.ts'
import { type FleetHub, openFleetHub } from './fleet-hub.ts'
import { hubFaults, kernelsIn, kernelsOf } from './hub-state.ts'
import { createRepo } from './rpm-repository.ts'
import { type FileServer, startNginx } from './servers.ts'
import { signRpms, unsignRpms } from './sign-rpms.ts'

const missing = missingFleetTool()

const EMBEDDED = 'anolis/8/x86_64/5.10.134-16.1.an8.x86_64'

describe.skipIf(missing !== null)(
  `packages that their distribution signs, in an index that nobody signed (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-signed-mirror-'))
    const repo = join(work, 'root/anolis/8/kernel-5.10/x86_64/os')
    const rpm = join(repo, 'Packages/kernel-core-5.10.134-16.1.an8.x86_64.rpm')
    let fleet: Fleet
    let nginx: FileServer

    beforeAll(async () => {
      fleet = await openFleet()
      nginx = await startNginx(join(work, 'root'), work)
    })
    afterAll(async () => {
      await nginx.close()
      rmSync(work, { recursive: true, force: true })
    })

    /** A mirror on which something was done to one package, whose index says that all is as it should be. */
    async function crawl(
      edit: () => void,
      keyring: string | null = join(fleet.root, FLEET_KEY),
    ): Promise<{ readonly hub: FleetHub; readonly report: CrawlReport }> {
      rmSync(join(work, 'root'), { recursive: true, force: true })
      cpSync(fleet.root, join(work, 'root'), { recursive: true })
      edit()
      createRepo(repo, 'xml', '.gz')
      const hub = await openFleetHub(keyring)
      onTestFinished(() => hub.cleanUp())
      const report = await hub.crawl({ distro: 'anolis', versions: ['8'], mirrors: [`${nginx.url}/anolis`] })
      expect(await hubFaults(hub.store, fleet)).toEqual([])
      return { hub, report }
    }

    it('give BTF that is verified by them', async () => {
      const { hub } = await crawl(() => undefined)
      expect(await kernelsIn(hub.store)).toEqual(kernelsOf(fleet, 'anolis'))
      expect(new Set(await levels(hub))).toEqual(new Set(['package']))
    })

    it('give none where one was signed by somebody else, or by nobody: that is recorded, and no other suffers', async () => {
      const stranger = makeKey()
      onTestFinished(() => stranger.remove())
      for (const edit of [() => signRpms([rpm], stranger), () => unsignRpms([rpm])]) {
        const { hub, report } = await crawl(edit)
        const failed = { kernel: EMBEDDED, code: 'BAD_SIGNATURE' }
        expect(report.builds.filter(({ outcome }) => outcome === 'failed')).toMatchObject([failed])
        expect(report.builds.find(({ kernel }) => kernel === EMBEDDED)?.reason).toMatch(
          /expected a package signed with a known key, got (?:key \w+, which is not known|no signature); .*--keyring FILE/,
        )
        expect(await hub.store.catalog.failures()).toMatchObject([{ code: 'BAD_SIGNATURE' }])
        const others = kernelsOf(fleet, 'anolis').filter((kernel) => kernel !== EMBEDDED)
        expect(await kernelsIn(hub.store)).toEqual(others)
      }
    })

    it('count for nothing where nobody’s keys are there: then an index that nobody signed is what there is', async () => {
      const { hub } = await crawl(() => unsignRpms([rpm]), null)
      expect(await kernelsIn(hub.store)).toEqual(kernelsOf(fleet, 'anolis'))
      expect(new Set(await levels(hub))).toEqual(new Set(['index']))
    })

    async function levels({ store }: FleetHub): Promise<string[]> {
      return (await store.catalog.builds()).map(({ provenance }) => provenance.verified)
    }
  },
)
