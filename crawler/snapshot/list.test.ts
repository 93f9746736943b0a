import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256Of } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { silentLog } from '../../core/log.ts'
import { addPackage, makeKey, missingAptTool, type TestKey, writeSuite } from '../../test/apt-repository.ts'
import type { Fault } from '../../test/apt-lab.ts'
import { buildsOf, type LabListing, type LabListOptions, useMirrorLab } from '../../test/mirrors/lab.ts'
import { type FileServer, missingServer, startNginx } from '../../test/mirrors/servers.ts'
import { withDetails } from '../details.ts'
import { memoryIndexCache } from '../memory-cache.ts'
import { SourceFile } from '../schema.ts'

const missing = missingAptTool() ?? missingServer()
const SEEN = '20250301T101112Z'
const SECURITY = '20250215T000000Z'
const names = {
  package: 'linux-image-{release}',
  image: ['linux-image-{release}', 'linux-image-{release}-unsigned'],
  debug: ['linux-image-{release}-dbg'],
  releases: ['(?<series>\\d+\\.\\d+)\\.\\d+-\\d+(?:-(?<flavour>[a-z]+))?-{arch}'],
}
const keyrings = { system: [], shipped: ['test.asc'] }

function source(base: string, extra: readonly object[] = []): object {
  return {
    id: 'debian',
    distro: 'debian',
    arches: { x86_64: 'amd64', aarch64: 'arm64' },
    politeness: { concurrency: 2, delayMs: 0, because: 'test' },
    snapshots: { origins: ['Debian'], keyrings, components: ['main'] },
    indexes: [
      ...extra,
      {
        format: 'snapshot',
        archives: [{ id: 'snapshot', name: 'snapshot', mirrors: [base] }],
        sources: ['linux', 'linux-6.1'],
        releases: [
          { match: '~deb11', version: '11' },
          { match: '^6\\.1\\.(?!.*~)', version: '12' },
        ],
        versions: {
          '12': { 'debian-security': ['bookworm-security'], debian: ['bookworm-proposed-updates', 'sid'] },
          '11': { debian: ['bullseye-backports'] },
        },
        names,
      },
    ],
  }
}

/** A file as `fileinfo` has it. */
function seen(archive: string, at: string, path: string, name: string, size: number): object {
  return { name, archive_name: archive, path, first_seen: at, size, run: SEEN }
}

describe('a source that remembers what has left its archive', () => {
  const lab = useMirrorLab()

  /** The service's JSON, in the form of its own documentation, for these versions of `linux`. */
  function service(versions: () => readonly string[], fault: Fault = () => false): Promise<{ url: string }> {
    return lab.serve(join(lab.work), (req, res, nth) => {
      if (fault(req, res, nth)) return true
      const [, version] = /^\/mr\/package\/linux\/([^/]*)\/allfiles\?fileinfo=1$/.exec(req.url ?? '') ?? []
      if (req.url === '/mr/package/linux/') {
        res.end(
          JSON.stringify({
            _comment: 'x',
            package: 'linux',
            result: versions().map((v) => ({ version: v })),
          }),
        )
      } else if (version !== undefined) res.end(JSON.stringify(allFiles(decodeURIComponent(version))))
      else res.writeHead(404).end()
      return true
    })
  }

  function allFiles(version: string): object {
    const release = `${version.replace(/-.*/, '')}-1-amd64`
    const name = `linux-image-${release}`
    const hash = createHash('sha1').update(version).digest('hex')
    return {
      package: 'linux',
      version,
      result: {
        source: [{ hash: 'f'.repeat(40) }],
        binaries: [
          { name, version, files: [{ hash, architecture: 'amd64' }] },
          { name: 'linux-doc', version, files: [{ hash: 'e'.repeat(40), architecture: 'all' }] },
        ],
      },
      fileinfo: {
        [hash]: [seen('debian', SEEN, '/pool/main/l/linux', `${name}_${version}_amd64.deb`, 5000)],
      },
    }
  }

  const list = (url: string, options: LabListOptions): Promise<LabListing> => lab.list(source(url), options)

  it('is asked for each version once, as many as a run may, and for their list from then on', async () => {
    const versions = Array.from({ length: limits.index.maxPastVersions + 20 }, (_, i) => `6.1.${i}-1`)
    const server = await service(() => [...versions, '5.4.1-1', '6.1.9~rc1-1'])
    const cache = memoryIndexCache()
    const first = await list(server.url, { cache })
    expect(first.packages).toHaveLength(limits.index.maxPastVersions)
    expect(first.requests).toBe(limits.index.maxPastVersions + 2)
    expect(first.indexes.map(({ outcome, partial, reason }) => [outcome, partial, reason])).toEqual(
      Array(4).fill(['new', true, '20 versions are left for the next runs']),
    )
    const second = await list(server.url, { cache })
    expect([second.packages.length, second.requests]).toEqual([versions.length, 22])
    expect(second.indexes.every(({ partial }) => partial === undefined)).toBe(true)
    const quiet = await list(server.url, { cache })
    expect([quiet.requests, quiet.indexes[0]?.outcome]).toEqual([2, 'unchanged'])
    expect(quiet.packages).toEqual(second.packages)
    // Where the past is not asked for, what is known of it is given for nothing.
    const offline = await list(server.url, { cache, past: false })
    expect([offline.requests, offline.packages.length]).toEqual([0, versions.length])
    const never = await list(server.url, { past: false })
    expect(never).toMatchObject({ requests: 0, packages: [], indexes: [{ partial: true }, {}, {}, {}] })
  })

  it('loses nothing of what it said before it fell ill, and says nothing is gone', async () => {
    const versions = Array.from({ length: 25 }, (_, i) => `6.1.${i}-1`)
    let ill = true
    const server = await service(
      () => versions,
      (req, res) => ill && req.url?.includes('/6.1.17-1/') === true && res.writeHead(503).end() !== null,
    )
    const cache = memoryIndexCache()
    const broken = await list(server.url, { cache })
    expect(broken.packages).toHaveLength(17)
    expect(broken.indexes[0]).toMatchObject({ outcome: 'failed', partial: true })
    ill = false
    const mended = await list(server.url, { cache })
    expect(mended.packages).toHaveLength(25)
    expect(mended.requests).toBe(2 + 8)
  })

  it.each<[string, unknown, RegExp]>([
    ['no JSON', '<html>', /expected JSON/],
    ['something else', { hello: 'world' }, /expected files with their places/],
    [
      'a hash that is none',
      {
        result: { binaries: [{ name: 'x', version: '1', files: [{ hash: '../x', architecture: 'amd64' }] }] },
        fileinfo: {},
      },
      /expected files/,
    ],
  ])('is not believed where it says %s', async (_what, answer, reason) => {
    const server = await service(
      () => ['6.1.1-1'],
      (req, res) => {
        if (req.url?.includes('allfiles') !== true) return false
        res.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
        return true
      },
    )
    const listing = await list(server.url, {})
    expect(listing.packages).toEqual([])
    expect(listing.indexes[0]).toMatchObject({ outcome: 'failed' })
    expect(listing.indexes[0]?.reason).toMatch(reason)
  })

  it.each([
    ['a path that climbs', { path: '/pool/../../etc' }],
    ['a name with a folder in it', { name: '../linux.deb' }],
    ['another archive than there can be', { archive_name: '../debian' }],
    ['a time that is none', { first_seen: 'yesterday' }],
    ['a size below nothing', { size: -1 }],
  ])('has files left out that have %s', async (_what, odd) => {
    const server = await service(
      () => ['6.1.1-1'],
      (req, res) => {
        if (req.url?.includes('allfiles') !== true) return false
        const all = allFiles('6.1.1-1') as { fileinfo: Record<string, object[]> }
        for (const [hash, [info]] of Object.entries(all.fileinfo)) all.fileinfo[hash] = [{ ...info, ...odd }]
        res.end(JSON.stringify(all))
        return true
      },
    )
    const listing = await list(server.url, {})
    expect(listing.packages).toEqual([])
    expect(listing.indexes[0]?.reason).toBe('1 unusable files')
  })
})

describe.skipIf(missing !== null)(
  `snapshot.debian.org by nginx (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const lab = useMirrorLab()
    const root = join(lab.work, 'snapshot')
    const pool = 'pool/main/l/linux'
    let key: TestKey
    let nginx: FileServer

    const put = (path: string, value: unknown): void => {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), JSON.stringify(value))
    }

    /** One archive as it was at a time, signed, with one image and its debug package. */
    function archive(name: string, at: string, suite: string, version: string): void {
      const dir = join(root, 'archive', name, at)
      const release = `${version.replace(/-.*/, '')}-1-amd64`
      for (const suffix of ['-unsigned', '-dbg']) {
        addPackage(dir, pool, {
          name: `linux-image-${release}${suffix}`,
          version,
          arch: 'amd64',
          ballast: 20,
        })
      }
      writeSuite(dir, { suite, pool: 'pool', arches: ['amd64'], byHash: true }, key)
    }

    /** `allfiles` of a version, as the service makes it of what is in its archives. */
    function tell(version: string, places: readonly (readonly [archive: string, at: string])[]): void {
      const [[first, since]] = places as [readonly [string, string]]
      const dir = join(root, 'archive', first, since, pool)
      const fileinfo: Record<string, object[]> = {}
      const binaries = readdirSync(dir).map((file) => {
        const bytes = readFileSync(join(dir, file))
        const hash = createHash('sha1').update(bytes).digest('hex')
        const [name = '', , arch = ''] = file.replace('.deb', '').split('_')
        fileinfo[hash] = places.map(([where, at]) => seen(where, at, `/${pool}`, file, bytes.byteLength))
        return { name, version, files: [{ hash, architecture: arch }] }
      })
      put(`mr/package/linux/${version}/allfiles`, {
        package: 'linux',
        version,
        result: { source: [], binaries },
        fileinfo,
      })
    }

    beforeAll(async () => {
      key = makeKey()
      lab.trust(key)
      archive('debian-security', SECURITY, 'bookworm-security', '6.1.124-1')
      archive('debian', SEEN, 'bookworm-proposed-updates', '6.1.128-1')
      tell('6.1.124-1', [
        ['debian-security', SECURITY],
        ['debian', SEEN],
      ])
      tell('6.1.128-1', [['debian', SEEN]])
      put('mr/package/linux/index.html', {
        package: 'linux',
        result: [{ version: '6.1.128-1' }, { version: '6.1.124-1' }, { version: '5.4.19-1' }],
      })
      nginx = await startNginx(root, lab.work)
    })
    afterAll(async () => {
      await nginx.close()
      key.remove()
      rmSync(root, { recursive: true })
    })

    it('has kernels that no mirror has, whose digests its signed indexes of that time tell when asked', async () => {
      const file = SourceFile.parse(source(nginx.url))
      const listing = await lab.list(file, { versions: ['12'] })
      expect(buildsOf(listing)).toEqual([
        'debian/12/x86_64/6.1.124-1-amd64 6.1.124-1 default linux-image-6.1.124-1-amd64-unsigned linux-image-6.1.124-1-amd64-dbg',
        'debian/12/x86_64/6.1.128-1-amd64 6.1.128-1 default linux-image-6.1.128-1-amd64-unsigned linux-image-6.1.128-1-amd64-dbg',
      ])
      expect(listing.indexes).toMatchObject([{ outcome: 'new', reason: null }, { outcome: 'new' }])
      const http = lab.http()
      const context = {
        http,
        cache: memoryIndexCache(),
        log: silentLog,
        signal: new AbortController().signal,
      }
      const deps = { keysDir: lab.keysDir, aptRoot: null, tempDir: lab.work, now: () => new Date() }
      for (const { images, debugs } of listing.packages) {
        expect([...images, ...debugs].every(({ sha256, signed }) => sha256 === null && !signed)).toBe(true)
        for (const files of [images, debugs]) {
          const [told] = await withDetails(file, files, context, deps)
          const bytes = Buffer.from(await (await fetch(told!.urls[0]!)).arrayBuffer())
          expect(told).toMatchObject({ sizeBytes: bytes.byteLength, sha256: sha256Of(bytes), signed: true })
          expect(told!.urls).toContain(files[0]!.urls[0])
        }
      }
      // One index of each time tells of all kernels in it.
      const { requests } = http.stats()
      expect(requests).toBeLessThan(12)
    })

    it('is believed unsigned, or not at all, where it is not what the archive signed', async () => {
      const stranger = makeKey()
      lab.trust(stranger)
      const file = SourceFile.parse(source(nginx.url))
      const listing = await lab.list(file, { versions: ['12'] })
      const context = {
        http: lab.http(),
        cache: memoryIndexCache(),
        log: silentLog,
        signal: new AbortController().signal,
      }
      const deps = { keysDir: lab.keysDir, aptRoot: null, tempDir: lab.work, now: () => new Date() }
      const images = listing.packages.flatMap((pkg) => pkg.images)
      expect(await withDetails(file, images, context, deps)).toEqual(images)
      lab.trust(key)
      stranger.remove()
    })

    it('stands behind the mirrors that have a package still', async () => {
      const dir = join(root, 'pool-mirror/debian')
      addPackage(dir, pool, {
        name: 'linux-image-6.1.128-1-amd64-unsigned',
        version: '6.1.128-1',
        arch: 'amd64',
        ballast: 20,
      })
      writeSuite(dir, { suite: 'bookworm', pool: 'pool', arches: ['amd64'] }, key)
      const apt = {
        format: 'apt',
        origins: ['Debian'],
        keyrings,
        archives: [{ id: 'main', name: 'debian', mirrors: [`${nginx.url}/pool-mirror/debian`] }],
        components: ['main'],
        versions: { '12': [{ archive: 'main', suite: 'bookworm' }] },
        names,
      }
      const { packages } = await lab.list(source(nginx.url, [apt]), { arches: ['x86_64'], versions: ['12'] })
      expect(packages).toHaveLength(2)
      const [image] = packages[1]!.images
      expect(image).toMatchObject({
        signed: true,
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
      })
      expect(image?.urls.map((url) => url.replace(nginx.url, ''))).toEqual([
        `/pool-mirror/debian/${pool}/linux-image-6.1.128-1-amd64-unsigned_6.1.128-1_amd64.deb`,
        `/archive/debian/${SEEN}/${pool}/linux-image-6.1.128-1-amd64-unsigned_6.1.128-1_amd64.deb`,
      ])
      expect(packages[1]!.debugs).toMatchObject([{ signed: false, sha256: null }])
    })
  },
)
