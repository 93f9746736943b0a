import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { politeHosts } from '../../core/hosts.ts'
import { createHttp, type HttpClient, hubUserAgent } from '../../core/http-client.ts'
import type { KernelPackage, PackageFile } from '../../core/kernel-package.ts'
import { packageKey } from '../../core/kernel-package.ts'
import type { Sha256 } from '../../core/digest.ts'
import { silentLog } from '../../core/log.ts'
import { noProgress } from '../../core/progress.ts'
import { type IndexReport, memoryIndexCache, type Source } from '../../crawler/index.ts'
import { TempSpace } from '../../extractor/index.ts'
import { makeDeb } from '../../extractor/deb.fixture.ts'
import { arm64Image } from '../../extractor/image.fixture.ts'
import { makeKernel, type SampleKernel } from '../../extractor/kernel.fixture.ts'
import { audit } from '../../store/index.ts'
import { havePrograms } from '../../test/helpers/machine.ts'
import { openTestStore, type TestStore } from '../../test/helpers/store.ts'
import { type Loopback, sendStatic, serveLoopback } from '../../test/loopback.ts'
import { type CrawlReport, runCrawl } from './crawl.ts'
import { type CrawlDeps, type CrawlOptions } from './crawl-options.ts'
import { planCrawl } from './plan-crawl.ts'

const able = havePrograms('gcc', 'ld', 'objcopy', 'readelf', 'pahole', 'dpkg-deb', 'xz')
const RELEASE = '6.1.0-1-sample'

describe.skipIf(!able)('a crawl (skipped without gcc, binutils, pahole, dpkg-deb)', () => {
  let kernel: SampleKernel
  let store: TestStore
  let server: Loopback
  let http: HttpClient
  /** What each path gives; a function answers as it likes. */
  let paths: Map<string, Uint8Array | ((res: ServerResponse) => void)>
  let image: Buffer
  let debug: Buffer
  let empty: Buffer
  let controller: AbortController

  beforeAll(async () => {
    const scratch = await openTestStore()
    kernel = await makeKernel(scratch.tempDir, RELEASE)
    image = await makeDeb({ [`boot/vmlinuz-${RELEASE}`]: arm64Image(kernel.flat) })
    empty = await makeDeb({ [`boot/vmlinuz-${RELEASE}`]: arm64Image(await readFile(kernel.bare)) })
    debug = await makeDeb({ [`usr/lib/debug/boot/vmlinux-${RELEASE}`]: await readFile(kernel.withoutBtf) })
    await scratch.cleanUp()
  })

  beforeEach(async () => {
    store = await openTestStore()
    paths = new Map()
    server = await serveLoopback((req, res) => {
      const answer = paths.get(req.url ?? '')
      if (answer === undefined) res.writeHead(404).end()
      else if (typeof answer === 'function') answer(res)
      else sendStatic(req, res, answer)
    })
    controller = new AbortController()
    http = createHttp({
      userAgent: hubUserAgent('https://example.org'),
      hosts: politeHosts,
      log: silentLog,
      env: {},
      bounds: { tries: 2, backoffBaseMs: 5, backoffMaxMs: 10, idleTimeoutMs: 500 },
    })
  })
  afterEach(async () => {
    await http.close()
    await server.close()
    await store.cleanUp()
  })

  const file = (bytes: Uint8Array, ...places: string[]): PackageFile => ({
    name: 'linux-image-sample',
    version: '1',
    urls: places.map((place) => `${server.url}${place}`),
    sizeBytes: bytes.byteLength,
    sha256: createHash('sha256').update(bytes).digest('hex') as Sha256,
    signed: true,
  })

  const pkg = (parts: Partial<KernelPackage>): KernelPackage => ({
    kernel: { distro: 'debian', version: '12', arch: 'aarch64', release: RELEASE },
    source: 'debian',
    packageName: `linux-image-${RELEASE}`,
    packageVersion: '1',
    flavour: 'default',
    series: 'debian/12/6.1',
    images: [],
    debugs: [],
    ...parts,
  })

  async function crawl(
    packages: readonly KernelPackage[],
    options: Partial<CrawlOptions> = {},
    indexes: readonly IndexReport[] = [],
  ): Promise<CrawlReport> {
    const source: Source = { id: 'debian', list: () => Promise.resolve({ packages, indexes }) }
    const { signal } = controller
    const deps: CrawlDeps = {
      http,
      catalog: store.catalog,
      blobs: store.blobs,
      tempDir: store.tempDir,
      tempSpace: new TempSpace(store.tempDir),
      log: silentLog,
      now: () => new Date(),
      sources: [source],
      context: { http, cache: memoryIndexCache(), log: silentLog, signal },
      progress: noProgress,
      onBuild: () => Promise.resolve(),
    }
    const all: CrawlOptions = {
      scope: { versions: [], arches: [], mirrors: [] },
      arches: [],
      release: null,
      newest: null,
      limit: null,
      jobs: 2,
      paholeJobs: 1,
      forceDwarf: false,
      verify: true,
      retryFailed: false,
      ...options,
    }
    return await runCrawl(await planCrawl(all, deps), all, deps)
  }

  /** Nothing in the store but what the catalog knows of, and no temporary file. */
  async function expectClean(builds: number): Promise<void> {
    expect((await store.catalog.builds()).length).toBe(builds)
    const report = await audit(store, undefined, { graceMs: 0 })
    expect(report.problems).toEqual([])
  }

  it('takes BTF from the image, with its provenance, and asks for nothing a second time', async () => {
    paths.set('/image', image)
    const one = pkg({ images: [file(image, '/image')] })
    expect(await crawl([one])).toMatchObject({
      failed: 0,
      builds: [{ outcome: 'embedded', bytesRead: image.length }],
    })

    const [build] = await store.catalog.builds()
    expect(build).toMatchObject({
      key: packageKey(one),
      kernel: one.kernel,
      provenance: {
        origin: 'embedded',
        verified: 'signed-index',
        buildId: kernel.buildId,
        banner: kernel.banner,
        packageSha256: one.images[0]?.sha256,
        url: `${server.url}/image`,
      },
    })
    expect(Buffer.from(await store.blobs.read(build!.btf.digest)).equals(kernel.btf)).toBe(true)
    const before = server.requests.length
    expect(await crawl([one])).toMatchObject({ known: 1, builds: [] })
    expect(server.requests.length).toBe(before)
    await expectClean(1)
  })

  it('takes DWARF where the image has no BTF', async () => {
    paths.set('/image', empty)
    paths.set('/debug', debug)
    const one = pkg({ images: [file(empty, '/image')], debugs: [file(debug, '/debug')] })
    expect(await crawl([one])).toMatchObject({ builds: [{ outcome: 'dwarf' }] })
    const [build] = await store.catalog.builds()
    expect(build?.provenance.paholeFlags).not.toBeNull()
    await expectClean(1)
  })

  it('looks only at kernels with a debug package where DWARF is forced', async () => {
    paths.set('/image', image)
    const one = pkg({ images: [file(image, '/image')] })
    expect(await crawl([one], { forceDwarf: true })).toMatchObject({ builds: [], known: 0 })
    await expectClean(0)
  })

  it.each<[string, Partial<KernelPackage>, string, number]>([
    ['DWARF where a list of images was ill', {}, 'debug', 0],
    [
      'an image known to have no BTF where a list of debug packages was',
      { imagesHaveBtf: false },
      'image',
      0,
    ],
    ['DWARF of a kernel whose image is known to have no BTF', { imagesHaveBtf: false }, 'debug', 1],
    ['an image, whatever else was ill', {}, 'image', 1],
  ])('an index that failed: %s', async (_what, facts, has, taken) => {
    paths.set('/image', image)
    paths.set('/debug', debug)
    const files = has === 'image' ? { images: [file(image, '/image')] } : { debugs: [file(debug, '/debug')] }
    const failed: IndexReport = {
      index: 'debian/12 main arm64',
      version: '12',
      arch: 'aarch64',
      url: server.url,
      outcome: 'failed',
      bytes: 0,
      signed: false,
      reason: 'ill',
    }
    const report = await crawl([pkg({ ...files, ...facts })], {}, [failed])
    expect(report).toMatchObject({ waiting: 1 - taken, failed: 0 })
    // When it is well again, and names nothing else, what is there is taken.
    const later = await crawl([pkg({ ...files, ...facts })], {}, [{ ...failed, outcome: 'unchanged' }])
    expect(report.builds.length + later.builds.length).toBe(1)
    expect(later).toMatchObject({ known: taken, waiting: 0 })
  })

  it('records why a kernel has no BTF, and does not try it again before its time', async () => {
    paths.set('/image', empty)
    const one = pkg({ images: [file(empty, '/image')] })
    expect(await crawl([one])).toMatchObject({ failed: 1, builds: [{ outcome: 'failed', code: 'NO_BTF' }] })
    expect(await crawl([one])).toMatchObject({ builds: [], waiting: 1 })
    expect(await crawl([one], { retryFailed: true })).toMatchObject({ failed: 1 })
    expect(await store.catalog.failures()).toMatchObject([{ code: 'NO_BTF', tries: 2 }])
    await expectClean(0)
  })

  it('takes the twin, or the other mirror, where one is gone, ill or lies', async () => {
    const flipped = Buffer.from(image)
    flipped[flipped.length - 1] = flipped[flipped.length - 1]! ^ 1
    paths.set('/flipped', flipped)
    paths.set('/ill', (res) => res.writeHead(503).end())
    paths.set('/other-kernel', debug)
    paths.set('/truncated', (res) => {
      res.writeHead(200, { 'content-length': image.length })
      res.write(image.subarray(0, image.length >> 1), () => res.destroy())
    })
    paths.set('/good', image)
    const bad = file(image, '/gone', '/flipped', '/other-kernel', '/truncated', '/ill')
    expect(await crawl([pkg({ images: [bad, file(image, '/good')] })])).toMatchObject({
      failed: 0,
      builds: [{ outcome: 'embedded' }],
    })
    expect((await store.catalog.builds())[0]?.provenance.url).toBe(`${server.url}/good`)
    await expectClean(1)
  })

  it.each<[string, string, (good: Buffer) => Uint8Array | ((res: ServerResponse) => void)]>([
    ['a byte behind the kernel is another', 'BAD_DIGEST', (good) => flip(good, good.length - 1)],
    ['the package is cut off', 'BAD_DIGEST', (good) => good.subarray(0, good.length - 100)],
    ['something else is sent', 'BAD_DIGEST', () => Buffer.from('<html>404</html>')],
    ['more is sent than the index says', 'TOO_LARGE', (good) => Buffer.concat([good, good])],
    ['an endless body is sent', 'TOO_LARGE', () => endless],
    ['the host only says 500', 'ILL', () => (res) => void res.writeHead(500).end()],
    ['the package is gone', 'GONE', () => (res) => void res.writeHead(404).end()],
  ])('keeps nothing and says why where %s (%s)', async (_what, code, answer) => {
    paths.set('/image', answer(image))
    const report = await crawl([pkg({ images: [file(image, '/image')] })])
    expect(report.builds).toMatchObject([{ outcome: 'failed', code }])
    expect(report.builds[0]?.reason).toContain('/image')
    await expectClean(0)
  })

  it('says in the provenance where a digest was not checked', async () => {
    paths.set('/image', image)
    await crawl([pkg({ images: [file(image, '/image')] })], { verify: false })
    expect((await store.catalog.builds())[0]?.provenance).toMatchObject({
      verified: 'none',
      packageSha256: null,
    })
  })

  it('ends when it is told to, and counts what was under way neither as done nor as failed', async () => {
    paths.set('/image', (res) => {
      res.writeHead(200, { 'content-length': image.length })
      res.write(image.subarray(0, 1000))
      setTimeout(() => controller.abort(), 20)
    })
    const report = await crawl([pkg({ images: [file(image, '/image')] })])
    expect(report).toMatchObject({ interrupted: true, builds: [], failed: 0 })
    expect(await store.catalog.failures()).toEqual([])
    await expectClean(0)
  })

  it('takes in again what was lost from the store', async () => {
    paths.set('/image', image)
    const one = pkg({ images: [file(image, '/image')] })
    await crawl([one])
    const [build] = await store.catalog.builds()
    await store.blobs.remove(build!.btf.digest)
    expect(await crawl([one])).toMatchObject({ known: 0, builds: [{ outcome: 'embedded' }] })
    await expectClean(1)
  })
})

function flip(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = copy[at]! ^ 0xff
  return copy
}

/** Chunks without end and without a length. */
function endless(res: ServerResponse): void {
  res.writeHead(200)
  const chunk = Buffer.alloc(1 << 16)
  const more = (): void => {
    while (!res.destroyed && res.write(chunk));
    if (!res.destroyed) res.once('drain', more)
  }
  more()
}
