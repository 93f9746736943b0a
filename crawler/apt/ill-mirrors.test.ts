import { beforeAll, describe, expect, it } from 'vitest'
import { BUILDS, builds, type Fault, FROZEN, MAIN, useAptLab } from '../../test/apt-lab.ts'
import { missingAptTool } from '../../test/apt-repository.ts'
import { memoryIndexCache } from '../index.ts'
import { breakAfter, type Loopback } from '../../test/loopback.ts'

const missing = missingAptTool()

/** What was done with a request counts as an answer. */
function sent(_done: unknown): boolean {
  return true
}

describe.skipIf(missing !== null)(`ill apt mirrors (skipped: ${missing ?? 'nothing'} is missing)`, () => {
  const lab = useAptLab()
  let files = new Map<string, Buffer>()

  beforeAll(() => {
    files = lab.archive('/debian', MAIN)
  })

  const whole = (path: string): Buffer => files.get(path)!
  const inRelease = '/debian/dists/bookworm/InRelease'
  const packages = '/debian/dists/bookworm/main/binary-amd64/Packages.xz'

  it.each<[string, string, Fault]>([
    ['503 and then health', inRelease, (_req, res, nth) => nth === 1 && sent(res.writeHead(503).end())],
    [
      '429 that says how long',
      inRelease,
      (_req, res, nth) => nth === 1 && sent(res.writeHead(429, { 'retry-after': '1' }).end()),
    ],
    ['a stall before the head', inRelease, (_req, _res, nth) => nth === 1],
    [
      'a reset in the middle of Release',
      inRelease,
      (_q, res, nth) => nth === 1 && sent(breakAfter(res, whole(inRelease), 50)),
    ],
    [
      'a reset in the middle of an index',
      packages,
      (_q, res, nth) => nth === 1 && sent(breakAfter(res, whole(packages), 90)),
    ],
  ])('%s', async (_what, path, fault) => {
    const server = await lab.mirror(lab.archive('/debian', MAIN), (req, res, nth) =>
      req.url === path ? fault(req, res, nth) : false,
    )
    const listing = await lab.list([server])
    expect(builds(listing)).toEqual(BUILDS)
    expect(listing.indexes).toMatchObject([{ outcome: 'new', reason: null }])
  })

  it.each<[string, string, Fault, RegExp]>([
    ['500 forever', inRelease, (_req, res) => sent(res.writeHead(500).end()), /answered 500 \(2 tries\)/],
    ['silence', inRelease, () => true, /InRelease \(2 tries\): .*timeout/i],
    [
      'a redirect loop',
      inRelease,
      (req, res) => sent(res.writeHead(302, { location: req.url }).end()),
      /redirects/,
    ],
    [
      'a redirect to a mirror that is dead',
      inRelease,
      (_q, res) => sent(res.writeHead(302, { location: 'http://127.0.0.1:9/x' }).end()),
      /ECONNREFUSED/,
    ],
    [
      '429 that does not say how long',
      inRelease,
      (_q, res) => sent(res.writeHead(429).end()),
      /answered 429/,
    ],
    ['403', inRelease, (_req, res) => sent(res.writeHead(403).end()), /answered 403/],
    [
      'a corrupt index',
      packages,
      (_q, res) => sent(res.end(Buffer.alloc(whole(packages).byteLength))),
      /Release says/,
    ],
    ['an index that is gone', packages, (_q, res) => sent(res.writeHead(404).end()), /mirror has it not/],
    [
      'a captive portal',
      inRelease,
      (_q, res) => sent(res.end('<html>log in')),
      /expected one clear-signed message/,
    ],
  ])('%s: fails by itself, is made good by the next mirror', async (_what, path, fault, reason) => {
    const files = lab.archive('/debian', MAIN)
    const ill = (): Promise<Loopback> =>
      lab.mirror(files, (req, res, nth) => (req.url === path ? fault(req, res, nth) : false))
    const alone = await lab.list([await ill()])
    expect(alone.packages).toEqual([])
    expect(alone.indexes).toMatchObject([{ outcome: 'failed' }])
    expect(alone.indexes[0]?.reason).toMatch(reason)
    const first = await ill()
    const second = await lab.mirror(files)
    const together = await lab.list([first, second])
    expect(builds(together)).toEqual(BUILDS)
    expect(together.indexes[0]).toMatchObject({ outcome: 'new', signed: true })
    expect(together.indexes[0]?.reason).toMatch(reason)
    expect(together.indexes[0]?.url).toContain(second.host)
    const urls = together.packages[0]?.images[0]?.urls ?? []
    expect(urls.map((url) => new URL(url).host)).toEqual([second.host, first.host])
  })

  it('tells a suite that is not there from one that could not be asked for', async () => {
    const empty = await lab.mirror(new Map())
    expect((await lab.list([empty])).indexes).toMatchObject([
      { outcome: 'absent', reason: `not at ${empty.url}/debian` },
    ])
    const dead = await lab.mirror(new Map())
    await dead.close()
    expect((await lab.list([empty, dead])).indexes).toMatchObject([{ outcome: 'failed' }])
    expect((await lab.list([empty, dead], { suites: FROZEN })).indexes).toMatchObject([{ outcome: 'absent' }])
    expect((await lab.list([dead], { suites: FROZEN })).indexes).toMatchObject([{ outcome: 'failed' }])
  })

  it('believes an ETag that lies no more than what it remembers: the listing stays whole', async () => {
    const server = await lab.mirror(files, (req, res) => {
      if (req.url !== inRelease) return false
      res.setHeader('etag', '"always"')
      sent(req.headers['if-none-match'] === undefined ? res.end(whole(inRelease)) : res.writeHead(304).end())
      return true
    })
    const cache = memoryIndexCache()
    const first = await lab.list([server], { cache })
    const second = await lab.list([server], { cache })
    expect(builds(second)).toEqual(builds(first))
    expect(second.indexes).toMatchObject([{ outcome: 'unchanged', signed: true }])
  })

  it('takes an index that changes between its Release and itself for what it is', async () => {
    const changed = lab.archive('/debian', {
      ...MAIN,
      editPackages: (text) => text.replaceAll('6.1.0-50', '6.1.0-60'),
    })
    const server = await lab.mirror(files, (req, res) => {
      const later = req.url?.includes('Packages') === true ? changed.get(req.url) : undefined
      return later !== undefined && sent(res.end(later))
    })
    const listing = await lab.list([server])
    expect(listing.packages).toEqual([])
    expect(listing.indexes).toMatchObject([{ outcome: 'failed' }])
  })

  it('tells an architecture that a suite has not', async () => {
    const server = await lab.mirror(lab.archive('/debian', { ...MAIN, arches: ['amd64'] }))
    const listing = await lab.list([server], { arches: ['x86_64', 'aarch64'] })
    expect(listing.indexes.map((report) => report.outcome)).toEqual(['new', 'absent'])
  })

  it('ends at once when it is told to', async () => {
    const abort = new AbortController()
    const server = await lab.mirror(new Map(), () => {
      abort.abort()
      return true
    })
    await expect(lab.list([server], { signal: abort.signal })).rejects.toMatchObject({ name: 'AbortError' })
  })
})
