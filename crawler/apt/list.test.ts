import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { sha256Of } from '../../core/digest.ts'
import { BOTH, BUILDS, builds, MAIN, SECURITY, useAptLab } from '../../test/apt-lab.ts'
import { missingAptTool, type TestSuite, writeSuite } from '../../test/apt-repository.ts'
import { sendStatic } from '../../test/loopback.ts'
import { type IndexCache, memoryIndexCache } from '../index.ts'

const missing = missingAptTool()

describe.skipIf(missing !== null)(
  `an apt archive by the real tools (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const lab = useAptLab()

    it('gives builds: images and debug packages of one release and version, paired', async () => {
      const server = await lab.mirror(lab.archive('/debian', MAIN))
      const listing = await lab.list([server], { arches: ['x86_64', 'aarch64'] })
      expect(builds(listing)).toEqual([
        ...BUILDS,
        '6.12.107+deb12-arm64-16k 6.12.107-1~deb12u1 linux-image-6.12.107+deb12-arm64-16k -',
      ])
      expect(
        listing.indexes.map(({ index, outcome, signed, reason }) => [index, outcome, signed, reason]),
      ).toEqual([
        ['debian/12 bookworm amd64', 'new', true, null],
        ['debian/12 bookworm arm64', 'new', true, null],
      ])
      expect(listing.indexes.reduce((sum, report) => sum + report.bytes, 0)).toBe(listing.bytes)
      expect(listing.packages[3]).toMatchObject({
        kernel: { distro: 'debian', version: '12', arch: 'x86_64', release: '6.1.0-50-amd64' },
        source: 'debian',
        packageName: 'linux-image-6.1.0-50-amd64',
        flavour: 'default',
        series: 'debian/12/6.1',
        images: [{ signed: true }, { signed: true }],
      })
      expect(listing.packages[5]).toMatchObject({ flavour: '16k', series: 'debian/12/6.12' })
    })

    it('gives URLs that serve the package that the index describes', async () => {
      const files = lab.archive('/debian', MAIN)
      const server = await lab.mirror(files)
      const { packages } = await lab.list([server], { arches: ['aarch64'] })
      const image = packages[0]!.images[0]!
      const bytes = Buffer.from(await (await fetch(image.urls[0]!)).arrayBuffer())
      expect(image.urls[0]).toContain('%2Bdeb12')
      expect(bytes.byteLength).toBe(image.sizeBytes)
      expect(sha256Of(bytes)).toBe(image.sha256)
    })

    it('takes a build that several suites list for one, with all its URLs', async () => {
      const server = await lab.mirror(lab.bothArchives())
      const { packages } = await lab.list([server], { suites: BOTH })
      expect(packages).toHaveLength(6)
      const build = packages.find((pkg) => pkg.kernel.release === '6.1.0-50-amd64')
      expect(build?.images.map((image) => image.name)).toEqual([
        'linux-image-6.1.0-50-amd64-unsigned',
        'linux-image-6.1.0-50-amd64',
      ])
      // The unsigned twin is in main alone; the signed one, which both have, is one file with two places.
      const signedOnly: TestSuite = {
        ...MAIN,
        editPackages: (text) => text.replaceAll('-amd64-unsigned', '-nope'),
      }
      const other = await lab.mirror(
        new Map([...lab.archive('/debian', signedOnly), ...lab.archive('/debian-security', SECURITY)]),
      )
      const again = await lab.list([other], { suites: BOTH })
      expect(again.packages.find((pkg) => pkg.kernel.release === '6.1.0-50-amd64')?.images[0]?.urls).toEqual([
        `${other.url}/debian/pool/main/linux-image-6.1.0-50-amd64_6.1.170-3_amd64.deb`,
        `${other.url}/debian-security/pool/updates/linux-image-6.1.0-50-amd64_6.1.170-3_amd64.deb`,
      ])
    })

    describe('reads', () => {
      it.each([['.xz'], ['.gz'], ['.zst'], ['']] as const)('an index in %j alone', async (coding) => {
        const server = await lab.mirror(lab.archive('/debian', { ...MAIN, codings: [coding] }))
        const listing = await lab.list([server])
        expect(builds(listing)).toEqual(BUILDS)
        expect(listing.indexes[0]?.url).toMatch(new RegExp(`Packages${coding.replace('.', '\\.')}$`))
      })

      it('indexes by hash where the archive has them, by name where the mirror lost them', async () => {
        const files = lab.archive('/debian', { ...MAIN, byHash: true })
        const server = await lab.mirror(files)
        expect(builds(await lab.list([server]))).toEqual(BUILDS)
        expect(server.requests.map((req) => req.url).filter((url) => url?.includes('Packages'))).toEqual([])
        const without = await lab.mirror(new Map([...files].filter(([path]) => !path.includes('by-hash'))))
        expect(builds(await lab.list([without]))).toEqual(BUILDS)
      })

      it('a Release with a detached signature, armoured or not, where there is no InRelease', async () => {
        for (const armor of [true, false]) {
          const files = lab.archive('/debian', MAIN)
          files.delete('/debian/dists/bookworm/InRelease')
          const release = files.get('/debian/dists/bookworm/Release')!.toString()
          files.set('/debian/dists/bookworm/Release.gpg', lab.key.detach(release, armor))
          expect(builds(await lab.list([await lab.mirror(files)]))).toEqual(BUILDS)
        }
      })

      it('a mirror on a disk', async () => {
        writeSuite(lab.root, MAIN, lab.key)
        const listing = await lab.list([], { given: [pathToFileURL(lab.root).href] })
        expect(builds(listing)).toEqual(BUILDS)
      })

      it('past stanzas that make no sense, and counts them', async () => {
        const nonsense = [
          'Package: linux-image-6.1.0-60-amd64\nVersion: 1\nSize: 5',
          'Package: linux-image-6.1.0-61-amd64\nFilename: pool/x.deb',
          'Version: 1\nFilename: pool/linux-image-6.1.0-62-amd64.deb',
          'Package: linux-image-6.1.0-63-amd64\nVersion: 1\nFilename: ../../etc/passwd',
          'Package: linux-image-6.1.0-64-amd64\nVersion: 1\nFilename: http://evil/x.deb',
          'Package: linux-image-6.1.0-65-amd64\nVersion: 1\nFilename: pool/x.deb\nSize: -1',
          'Package: linux-image-6.1.0-66-amd64\nVersion: 1\nFilename: pool/x.deb\nSHA256: 00',
          'Package: linux-image-6.1.0-67-amd64\nPackage: linux-image-6.1.0-68-amd64\nVersion: 1\nFilename: pool/x.deb',
          ' continuation of nothing, linux-image-6.1.0-69-amd64',
          'no field at all: linux-image-6.1.0-70-amd64'.replace(':', ''),
        ]
        const editPackages = (text: string): string => `${nonsense.join('\n\n')}\n \n${text}`
        const server = await lab.mirror(lab.archive('/debian', { ...MAIN, editPackages }))
        const listing = await lab.list([server])
        expect(builds(listing)).toEqual(BUILDS)
        expect(listing.indexes[0]).toMatchObject({ outcome: 'new', reason: '10 unusable stanzas' })
      })
    })

    describe('does needless work never', () => {
      it('fetches no index again that the Release file vouches for as it was', async () => {
        const files = lab.archive('/debian', MAIN)
        const server = await lab.mirror(files)
        const cache = memoryIndexCache()
        const first = await lab.list([server], { cache })
        const second = await lab.list([server], { cache })
        expect(second.packages).toEqual(first.packages)
        expect(second.requests).toBe(1)
        expect(second.indexes).toMatchObject([{ outcome: 'unchanged', signed: true }])
        // This mirror says nothing to recognise a document by: Release.gpg does.
        expect(second.bytes).toBe(files.get('/debian/dists/bookworm/Release.gpg')?.byteLength)
      })

      it('believes Release.gpg only where it holds for the InRelease that is remembered', async () => {
        const cache = memoryIndexCache()
        const files = lab.archive('/debian', MAIN)
        const gpg = '/debian/dists/bookworm/Release.gpg'
        files.set(gpg, lab.key.detach('Origin: Debian\nSuite: another\n'))
        const server = await lab.mirror(files)
        await lab.list([server], { cache })
        const second = await lab.list([server], { cache })
        expect(second.bytes).toBeGreaterThan(files.get('/debian/dists/bookworm/InRelease')!.byteLength)
        // And what a stranger signed holds for nothing.
        const release = files.get('/debian/dists/bookworm/Release')!.toString()
        files.set(gpg, lab.makeKey().detach(release))
        const third = await lab.list([server], { cache })
        expect(third.indexes).toMatchObject([{ outcome: 'unchanged', signed: true }])
        expect(third.bytes).toBeGreaterThan(files.get('/debian/dists/bookworm/InRelease')!.byteLength)
      })

      it('asks for the Release file conditionally where the mirror lets it', async () => {
        for (const detached of [false, true]) {
          const files = lab.archive('/debian', MAIN)
          if (detached) files.delete('/debian/dists/bookworm/InRelease')
          const server = await lab.mirror(files, (req, res) => {
            const bytes = files.get(req.url ?? '')
            if (bytes === undefined) return false
            sendStatic(req, res, bytes, { etag: `"${bytes.byteLength}"` })
            return true
          })
          const cache = memoryIndexCache()
          const first = await lab.list([server], { cache })
          const second = await lab.list([server], { cache })
          expect(second.packages).toEqual(first.packages)
          expect(second.bytes).toBe(0)
          expect(second.indexes).toMatchObject([{ outcome: 'unchanged', bytes: 0, signed: true }])
        }
      })

      it('reads again when the archive has changed, when its rules have, and when memory is not what it was', async () => {
        const cache = memoryIndexCache()
        await lab.list([await lab.mirror(lab.archive('/debian', MAIN))], { cache })
        const editPackages = (text: string): string => text.replaceAll('6.1.0-49-rt', '6.1.0-47-rt')
        const changed = await lab.list(
          [await lab.mirror(lab.archive('/debian', { ...MAIN, editPackages }))],
          { cache },
        )
        expect(changed.indexes).toMatchObject([{ outcome: 'new' }])
        expect(builds(changed).join()).toContain('6.1.0-47-rt-amd64')
        const broken: IndexCache = {
          get: async (k) => {
            const memo = await cache.get(k)
            return memo === null ? null : { ...memo, value: '{"entries":[{"name":7}]}' }
          },
          put: cache.put,
        }
        const server = await lab.mirror(lab.archive('/debian', { ...MAIN, editPackages }))
        const recovered = await lab.list([server], { cache: broken })
        expect(recovered.packages.map((pkg) => pkg.kernel)).toEqual(changed.packages.map((pkg) => pkg.kernel))
      })
    })

    describe('asks the mirrors', () => {
      it('that were given and no others, with security beside main', async () => {
        const own = await lab.mirror(lab.bothArchives())
        const given = await lab.mirror(lab.bothArchives())
        const listing = await lab.list([own], { suites: BOTH, given: [`${given.url}/debian/`] })
        expect(listing.packages).toHaveLength(6)
        expect(own.requests).toHaveLength(0)
      })

      it('that apt is told about, by their keys, before its own', async () => {
        const stranger = lab.makeKey()
        const root = mkdtempSync(join(lab.work, 'root-'))
        const files = new Map([...lab.archive('/corp/deb', MAIN, stranger)])
        const machine = await lab.mirror(files)
        const own = await lab.mirror(lab.bothArchives())
        mkdirSync(join(root, 'etc/apt/sources.list.d'), { recursive: true })
        mkdirSync(join(root, 'usr/share/keyrings'), { recursive: true })
        writeFileSync(join(root, 'usr/share/keyrings/corp.asc'), stranger.publicKey)
        writeFileSync(
          join(root, 'etc/apt/sources.list.d/corp.list'),
          `deb [signed-by=/usr/share/keyrings/corp.asc] ${machine.url}/corp/deb bookworm main\n`,
        )
        const listing = await lab.list([own], { suites: BOTH, aptRoot: root })
        expect(listing.indexes.map((report) => new URL(report.url).host)).toEqual([machine.host, own.host])
        expect(listing.packages).toHaveLength(6)
        // A keyring that is none does not stand in the way of those that are.
        writeFileSync(join(root, 'usr/share/keyrings/corp.asc'), 'damaged')
        const without = await lab.list([own], { suites: BOTH, aptRoot: root })
        expect(without.indexes[0]).toMatchObject({
          outcome: 'new',
          url: expect.stringContaining(own.host) as unknown,
          reason: expect.stringContaining('which is not known') as unknown,
        })
      })

      it('and says so where there is none for an archive', async () => {
        const given = await lab.mirror(lab.bothArchives())
        const listing = await lab.list([], { suites: BOTH, given: [`${given.url}/mirror-security`] })
        expect(listing.indexes).toMatchObject([
          { outcome: 'failed', reason: 'no mirror of main to ask' },
          { outcome: 'absent' },
        ])
      })
    })
  },
)
