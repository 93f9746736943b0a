import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { silentLog } from '../../core/log.ts'
import type { Loopback } from '../../test/loopback.ts'
import { serveLoopback } from '../../test/loopback.ts'
import { buildsOf, useMirrorLab } from '../../test/mirrors/lab.ts'
import { memoryIndexCache } from '../index.ts'
import { withDetails } from '../details.ts'
import { SourceFile } from '../schema.ts'

/** A publication as Launchpad tells it, newest last. */
interface Published {
  readonly id: number
  readonly name: string
  readonly version: string
  readonly debug?: boolean
  readonly pocket?: string
  readonly at?: string
  readonly until?: string
}

const OLD = '2017-10-30T19:53:48.149191+00:00'

const PUBLISHED: readonly Published[] = [
  { id: 1, name: 'linux-image-4.4.0-98-generic', version: '4.4.0-98.121' },
  { id: 2, name: 'linux-image-4.4.0-98-generic-dbgsym', version: '4.4.0-98.121', debug: true },
  { id: 3, name: 'linux-image-generic', version: '4.4.0.98.103' },
  { id: 4, name: 'linux-image-extra-4.4.0-98-generic', version: '4.4.0-98.121' },
  { id: 5, name: 'linux-image-4.4.0-1100-aws', version: '4.4.0-1100.107' },
  { id: 6, name: 'linux-image-unsigned-4.15.0-20-generic', version: '4.15.0-20.21~16.04.1' },
]
const BUILDS = [
  'ubuntu/16.04/x86_64/4.4.0-98-generic 4.4.0-98.121 generic linux-image-4.4.0-98-generic linux-image-4.4.0-98-generic-dbgsym',
  'ubuntu/16.04/x86_64/4.4.0-1100-aws 4.4.0-1100.107 aws linux-image-4.4.0-1100-aws -',
  'ubuntu/16.04/x86_64/4.15.0-20-generic 4.15.0-20.21~16.04.1 generic linux-image-unsigned-4.15.0-20-generic -',
]
const SHA256 = 'ab'.repeat(32)

function source(api: string): object {
  return {
    id: 'ubuntu',
    distro: 'ubuntu',
    arches: { x86_64: 'amd64' },
    politeness: { concurrency: 2, delayMs: 0, because: 'test' },
    indexes: [
      {
        format: 'launchpad',
        archives: [{ id: 'launchpad', name: 'launchpad', mirrors: [`${api}/devel`] }],
        archivePath: 'ubuntu/+archive/primary',
        files: `${api}/ubuntu/+archive/primary/+files`,
        query: 'linux-image-',
        versions: { '16.04': 'ubuntu/xenial' },
        pockets: ['Release', 'Security', 'Updates'],
        snapshots: { base: `${api}/snapshots/ubuntu`, since: '2023-03-01T00:00:00Z' },
        names: {
          package: 'linux-image-{release}',
          image: ['linux-image-{release}', 'linux-image-unsigned-{release}'],
          debug: ['linux-image-{release}-dbgsym', 'linux-image-unsigned-{release}-dbgsym'],
          releases: ['(?<series>\\d+\\.\\d+)\\.\\d+-\\d+-(?<flavour>(?!.*dbgsym)[a-z][a-z0-9-]*)'],
        },
      },
    ],
  }
}

describe('Launchpad', () => {
  const lab = useMirrorLab()

  /** Launchpad's JSON by its documentation: collections of two entries a page, newest first. */
  async function launchpad(
    published: () => readonly Published[],
    fault: (req: IncomingMessage, res: ServerResponse, nth: number) => boolean = () => false,
  ): Promise<Loopback> {
    const server = await serveLoopback((req, res, nth) => {
      if (fault(req, res, nth)) return
      const url = new URL(req.url ?? '/', `http://${req.headers.host}`)
      const answer = (value: unknown): unknown =>
        res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
      if (url.searchParams.get('ws.op') === 'binaryFileUrls') {
        const one = published().find(({ id }) => url.pathname.endsWith(`/${id}`))
        const file = `${one?.name}_${one?.version}_amd64.${one?.debug === true ? 'ddeb' : 'deb'}`
        answer([{ url: `${url.origin}/+build/1/+files/${file}`, size: 12, sha1: '0', sha256: SHA256 }])
      } else if (url.searchParams.get('ws.op') === 'getPublishedBinaries') {
        const series = url.searchParams.get('distro_arch_series') ?? ''
        const all = series.endsWith('/devel/ubuntu/xenial/amd64') ? published().toReversed() : []
        const start = Number(url.searchParams.get('ws.start') ?? 0)
        const next = new URL(url)
        next.searchParams.set('ws.start', String(start + 2))
        answer({
          total_size: all.length,
          start,
          entries: all
            .slice(start, start + 2)
            .map(({ id, name, version, debug = false, pocket = 'Security', at = OLD, until = null }) => ({
              self_link: `${url.origin}/devel/ubuntu/+archive/primary/+binarypub/${id}`,
              binary_package_name: name,
              binary_package_version: version,
              is_debug: debug,
              status: 'Deleted',
              pocket,
              date_published: at,
              date_superseded: until,
            })),
          ...(start + 2 < all.length && { next_collection_link: next.href }),
        })
      } else res.writeHead(404).end()
    })
    lab.onClose(() => server.close())
    return server
  }

  it('lists what it remembers over all pages, and asks for no details', async () => {
    const server = await launchpad(() => PUBLISHED)
    const listing = await lab.list(source(server.url))
    expect(buildsOf(listing).sort()).toEqual(BUILDS.toSorted())
    expect(listing.requests).toBe(3)
    expect(listing.indexes).toMatchObject([{ outcome: 'new', signed: false, reason: null }])
    const debug = listing.packages.flatMap(({ debugs }) => debugs)[0]
    expect(debug).toMatchObject({
      urls: [
        `${server.url}/ubuntu/+archive/primary/+files/linux-image-4.4.0-98-generic-dbgsym_4.4.0-98.121_amd64.ddeb`,
      ],
      sizeBytes: null,
      sha256: null,
      date: '2017-10-30T19:53:48.149Z',
    })
  })

  it('tells size and digest of what is about to be downloaded', async () => {
    const server = await launchpad(() => PUBLISHED)
    const listing = await lab.list(source(server.url))
    const context = {
      http: lab.http(),
      cache: memoryIndexCache(),
      log: silentLog,
      signal: new AbortController().signal,
    }
    const pkg = listing.packages.find(({ debugs }) => debugs.length > 0)!
    const deps = { keysDir: lab.keysDir, aptRoot: null, tempDir: lab.work, now: () => new Date() }
    const file = SourceFile.parse(source(server.url))
    const told = await withDetails(file, pkg.debugs, context, deps)
    expect(told).toMatchObject([{ sizeBytes: 12, sha256: SHA256, signed: false }])
    expect(told[0]?.urls[0]).toContain('/+build/1/+files/')
    expect(told[0]?.urls).toHaveLength(2)
    await server.close()
    expect(await withDetails(file, pkg.debugs, context, deps)).toEqual(pkg.debugs)
  })

  it('looks for files and what is told of them at each Launchpad that was given, the one that listed them first', async () => {
    const [one, other] = [await launchpad(() => PUBLISHED), await launchpad(() => PUBLISHED)]
    const given = [one, other].map(({ url }) => `${url}/devel`)
    const listing = await lab.list(source(one.url), { given })
    const [file] = listing.packages.flatMap(({ debugs }) => debugs)
    expect(file?.urls.map((url) => new URL(url).origin)).toEqual([one.url, other.url])
    expect(file?.details?.map((place) => 'url' in place && new URL(place.url).origin)).toEqual([
      one.url,
      other.url,
    ])
  })

  it('leaves out what was proposed only, and knows where the archive as it was has an image', async () => {
    const name = 'linux-image-4.4.0-99-generic'
    const at = '2024-05-01T10:00:00.123456+00:00'
    const server = await launchpad(() => [
      { id: 1, name, version: '4.4.0-99.122', pocket: 'Proposed', at },
      { id: 2, name, version: '4.4.0-99.121', pocket: 'Updates', at },
      {
        id: 3,
        name: name.replace('99', '97'),
        version: '4.4.0-97.120',
        pocket: 'Release',
        at,
        until: '2024-05-01T11:30:00+00:00',
      },
      { id: 4, name: `${name}-dbgsym`, version: '4.4.0-99.121', pocket: 'Updates', at, debug: true },
    ])
    const { packages } = await lab.list(source(server.url))
    expect(packages.map(({ packageVersion }) => packageVersion)).toEqual(['4.4.0-97.120', '4.4.0-99.121'])
    const places = packages.flatMap(({ images, debugs }) =>
      [...images, ...debugs].map(({ details }) =>
        details?.map((one) =>
          one.kind === 'archive' ? `${one.base} ${one.suites.join()} ${one.arch}` : one.kind,
        ),
      ),
    )
    expect(places).toEqual([
      [`${server.url}/snapshots/ubuntu/20240501T113000Z xenial amd64`, 'launchpad'],
      [`${server.url}/snapshots/ubuntu/20240501T160000Z xenial-updates amd64`, 'launchpad'],
      ['launchpad'],
    ])
  })

  it('costs one page when nothing is new, and as many as are needed when something is', async () => {
    let published: readonly Published[] = PUBLISHED.slice(0, 4)
    const server = await launchpad(() => published)
    const cache = memoryIndexCache()
    const first = await lab.list(source(server.url), { cache })
    const quiet = await lab.list(source(server.url), { cache })
    expect([quiet.requests, quiet.indexes[0]?.outcome]).toEqual([2, 'unchanged'])
    expect(quiet.packages).toEqual(first.packages)
    published = PUBLISHED
    const later = await lab.list(source(server.url), { cache })
    expect([buildsOf(later).length, later.indexes[0]?.outcome]).toEqual([3, 'new'])
  })

  it('loses nothing and doubles nothing where the listing grows while its pages are read', async () => {
    let published: readonly Published[] = PUBLISHED.slice(0, 5)
    const server = await launchpad(
      () => published,
      (req) => {
        if (req.url?.includes('ws.start=2') === true) published = PUBLISHED
        return false
      },
    )
    const cache = memoryIndexCache()
    const listing = await lab.list(source(server.url), { cache })
    expect(buildsOf(listing)).toHaveLength(2)
    expect(buildsOf(await lab.list(source(server.url), { cache }))).toHaveLength(3)
  })

  it('is asked again where it stumbles', async () => {
    const server = await launchpad(
      () => PUBLISHED,
      (_req, res, nth) => nth === 1 && res.writeHead(503).end() !== null,
    )
    expect(buildsOf(await lab.list(source(server.url)))).toHaveLength(3)
  })

  it.each<[string, (origin: string) => unknown, RegExp]>([
    [
      'leads elsewhere',
      () => ({ entries: [], next_collection_link: 'http://evil/devel' }),
      /expected the next page there/,
    ],
    ['has no end', (self) => ({ entries: [], next_collection_link: self }), /does not end/],
    ['is something else', () => ({ hello: 'world' }), /expected a page of publications/],
    ['is no JSON', () => null, /expected JSON/],
  ])('fails, and gives nothing, where its listing %s', async (_what, page, reason) => {
    const server = await launchpad(
      () => [],
      (req, res) => {
        const value = page(`http://${req.headers.host}${req.url}`)
        res.end(value === null ? '<html>' : JSON.stringify(value))
        return true
      },
    )
    const listing = await lab.list(source(server.url))
    expect(listing.packages).toEqual([])
    expect(listing.indexes).toMatchObject([{ outcome: 'failed' }])
    expect(listing.indexes[0]?.reason).toMatch(reason)
  })

  it('is not believed about publications of other hosts', async () => {
    const entry = {
      self_link: 'http://169.254.169.254/devel/+binarypub/1',
      binary_package_name: 'linux-image-4.4.0-98-generic',
      binary_package_version: '1',
      pocket: 'Security',
    }
    const server = await launchpad(
      () => [],
      (_req, res) => {
        res.end(JSON.stringify({ entries: [entry, { odd: true }] }))
        return true
      },
    )
    const listing = await lab.list(source(server.url))
    expect(listing.packages).toEqual([])
    expect(listing.indexes[0]?.reason).toBe('2 unusable publications')
  })
})
