import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { CrawlReport } from '../../cli/hub/crawl.ts'
import {
  alwaysUnchanged,
  captivePortal,
  corrupt,
  type Fault,
  type FaultProxy,
  gzipBomb,
  lyingEtag,
  redirectLoop,
  redirectToDead,
  reset,
  silence,
  stall,
  startFaultProxy,
  status,
  truncated,
  wrongLength,
} from '../helpers/fault-proxy.ts'
import { nightly } from '../helpers/nightly.ts'
import { type Fleet, missingFleetTool, openFleet } from './fleet.ts'
import { type FleetHub, openFleetHub } from './fleet-hub.ts'
import { hubFaults, kernelsIn, kernelsOf } from './hub-state.ts'
import { type FileServer, startNginx } from './servers.ts'

const missing = missingFleetTool()

/** One distribution's mirrors, by their paths. */
interface Place {
  readonly distro: string
  readonly versions: readonly string[]
  readonly base: string
  /** What says what is there: the first thing that is read of it, and what that leads to. */
  readonly index: RegExp
  readonly list: RegExp
  readonly package: RegExp
  /** Of the kernels, those that are crawled; all of them at night. */
  readonly release: RegExp
}

const ANOLIS: Place = {
  distro: 'anolis',
  versions: ['8'],
  base: 'anolis',
  index: /repomd\.xml$/,
  list: /primary\.(?:xml|sqlite)/,
  package: /\.rpm$/,
  release: nightly ? /./ : /^4\.18\.0-305/,
}
const CENTOS: Place = {
  distro: 'centos',
  versions: ['7'],
  base: 'centos-vault',
  index: /repomd\.xml$|centos-debuginfo\/7\/x86_64\/$/,
  // A page has no digest: half of one that says it is whole cannot be told from the whole.
  list: /primary\.(?:xml|sqlite)/,
  package: /\.rpm$/,
  release: nightly ? /./ : /-957\.el7\.x86_64$/,
}
const UBUNTU: Place = {
  distro: 'ubuntu',
  versions: ['20.04'],
  base: 'ubuntu',
  index: /focal\/(?:InRelease|Release)$|launchpad\/ubuntu/,
  list: /Packages(?:\.\w+)?$|launchpad\/ubuntu/,
  package: /\.d?deb$/,
  release: nightly ? /./ : /^5\.15\./,
}

/**
 * How a mirror is ill, and what is told of a package that nobody else has: its reason's class. Silence is borne for long,
 * as a busy machine is silent too, but where it is the illness.
 */
type Row = readonly [what: string, fault: () => Fault, told: RegExp]
const SILENT: ReadonlySet<string> = new Set([
  'silence',
  'a stall in the middle',
  'a length that is too large',
])

/** A body that is no package at all may be called so before its digest is known to be wrong. */
const NOT_THE_PACKAGE = /^(?:BAD_DIGEST|MALFORMED|UNSUPPORTED)$/

const OF_ANYTHING: readonly Row[] = [
  ['404', () => status(404), /^GONE$/],
  ['403', () => status(403), /^ILL$/],
  ['429 that names no time', () => status(429), /^ILL$/],
  ['429 that names a second', () => status(429, { 'retry-after': '1' }), /^ILL$/],
  ['429 that names a week', () => status(429, { 'retry-after': '604800' }), /^ILL$/],
  ['500', () => status(500), /^ILL$/],
  ['503', () => status(503), /^ILL$/],
  ['silence', () => silence, /^ILL$/],
  ['a stall in the middle', () => stall, /^ILL$/],
  ['a reset in the middle', () => reset, /^ILL$/],
  ['a length that is too large', () => wrongLength(1000), /^(?:TOO_LARGE|BAD_DIGEST)$/],
  ['a length that is too small', () => wrongLength(-100), /^BAD_DIGEST$/],
  ['a redirect loop', () => redirectLoop, /^ILL$/],
  ['a redirect to a dead mirror', () => redirectToDead, /^ILL$/],
  ['a page of a captive portal', () => captivePortal, NOT_THE_PACKAGE],
  ['a gzip bomb', () => gzipBomb, /^(?:ILL|TOO_LARGE)$/],
]
/** Of what has a digest. */
const OF_BODIES: readonly Row[] = [
  ['a body that is cut off', () => truncated, /^BAD_DIGEST$/],
  ['a corrupt body', () => corrupt, NOT_THE_PACKAGE],
  ['other bytes under the same ETag', lyingEtag, /^(?:ILL|BAD_DIGEST|MALFORMED)$/],
]
/** Of a list that changes after what names it was read. */
const OF_LISTS: readonly Row[] = [['a list that is gone by now', () => status(404), /^GONE$/], ...OF_BODIES]

describe.skipIf(missing !== null)(
  `a mirror that is ill, in whole crawls (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-ill-'))
    let fleet: Fleet
    let nginx: FileServer
    let proxy: FaultProxy
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
      proxy = await startFaultProxy(nginx.url)
      hub = await openFleetHub()
    })
    afterEach(async () => {
      await proxy.close()
      await hub.cleanUp()
    })

    let patience: { readonly idleTimeoutMs?: number } = {}
    const crawl = (place: Place, ...servers: readonly { readonly url: string }[]): Promise<CrawlReport> =>
      hub.crawl({ ...place, ...patience, mirrors: servers.map(({ url }) => `${url}/${place.base}`) })
    const wanted = ({ distro, release }: Place): string[] =>
      kernelsOf(fleet, distro).filter((kernel) => release.test(kernel.split('/').at(-1) ?? ''))

    /** Every kernel that is not there is accounted for: by its own failure, or by an index that was not read. */
    async function expectExplained(place: Place, report: CrawlReport, told: RegExp): Promise<void> {
      const have = new Set(await kernelsIn(hub.store))
      for (const kernel of wanted(place).filter((one) => !have.has(one))) {
        const build = report.builds.find((one) => one.kernel === kernel)
        const reasons = report.indexes.filter(({ outcome }) => outcome === 'failed' || outcome === 'absent')
        expect(build?.reason ?? reasons[0]?.reason ?? '', kernel).not.toBe('')
        if (build !== undefined) expect(build.code, kernel).toMatch(told)
      }
    }

    async function expectWhole(place: Place): Promise<void> {
      expect(await hubFaults(hub.store, fleet)).toEqual([])
      expect(await kernelsIn(hub.store)).toEqual(wanted(place))
      expect(await hub.store.catalog.failures()).toEqual([])
    }

    const places = nightly ? [ANOLIS, CENTOS, UBUNTU] : [ANOLIS]
    const cases = places.flatMap((place) => [
      ...OF_ANYTHING.map((row) => [place.distro, 'index', ...row, place, place.index] as const),
      ...OF_LISTS.map((row) => [place.distro, 'list', ...row, place, place.list] as const),
      ...[...OF_ANYTHING, ...OF_BODIES].map(
        (row) => [place.distro, 'package', ...row, place, place.package] as const,
      ),
    ])

    it.each(cases)('%s, %s: %s', async (_distro, part, what, fault, told, place, on) => {
      patience = SILENT.has(what) ? { idleTimeoutMs: 500 } : {}
      // Once: another try, or the next night, makes it good.
      proxy.infect({ on, fault: fault(), times: 1 })
      await crawl(place, proxy)
      expect(proxy.hits()).toBe(1)
      expect(await hubFaults(hub.store, fleet)).toEqual([])
      hub.laterByDays(1.01)
      await crawl(place, proxy)
      await expectWhole(place)

      // For ever: what is here stays, and is not called gone because a mirror is ill.
      if (part !== 'package') {
        proxy.infect({ on, fault: fault() })
        const later = await crawl(place, proxy)
        if (told.source !== '^GONE$') expect(later).toMatchObject({ gone: [], failed: 0 })
        await expectWhole(place)
      }

      // From the beginning: nothing wrong or half comes in, and what is missing is told with its reason.
      await hub.cleanUp()
      hub = await openFleetHub()
      proxy.infect({ on, fault: fault() })
      const alone = await crawl(place, proxy)
      expect(proxy.hits()).toBeGreaterThan(0)
      expect(await hubFaults(hub.store, fleet)).toEqual([])
      await expectExplained(place, alone, part === 'package' ? told : /^(?:ILL|NO_BTF)$/)
      // The next mirror makes it good, the same night.
      hub.laterByDays(1.01)
      await crawl(place, proxy, nginx)
      await expectWhole(place)
    })

    it('that says for ever that nothing has changed costs news, and nothing else', async () => {
      patience = {}
      proxy.infect({ on: ANOLIS.index, fault: alwaysUnchanged })
      await crawl(ANOLIS, proxy)
      await expectWhole(ANOLIS)
      expect(await crawl(ANOLIS, proxy)).toMatchObject({ builds: [], gone: [], failed: 0 })
      proxy.heal()
      expect(await crawl(ANOLIS, proxy)).toMatchObject({ builds: [], gone: [], failed: 0 })
      await expectWhole(ANOLIS)
    })
  },
)
