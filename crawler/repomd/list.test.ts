import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256Of } from '../../core/digest.ts'
import { makeKey, type TestKey } from '../../test/apt-repository.ts'
import { breakAfter } from '../../test/loopback.ts'
import { buildsOf, useMirrorLab } from '../../test/mirrors/lab.ts'
import {
  buildRpms,
  createRepo,
  editRepo,
  missingRpmTool,
  primaryOf,
  type RepoCoding,
} from '../../test/mirrors/rpm-repository.ts'
import { memoryIndexCache } from '../index.ts'

const missing = missingRpmTool()
const names = {
  kernels: [
    { image: ['kernel-core'], debug: ['kernel-debuginfo'], uname: '{version}-{release}.{arch}' },
    {
      flavours: ['debug'],
      image: ['kernel-{flavour}-core'],
      debug: ['kernel-{flavour}-debuginfo'],
      uname: '{version}-{release}.{arch}+{flavour}',
    },
  ],
  leastBytes: { image: 100_000, debug: 100_000 },
}

const BUILDS = [
  'centos/8/x86_64/4.18.0-147.el8.x86_64 4.18.0-147.el8 default kernel-core kernel-debuginfo',
  'centos/8/x86_64/4.18.0-348.7.1.el8_5.x86_64 4.18.0-348.7.1.el8_5 default kernel-core kernel-debuginfo',
  'centos/8/x86_64/4.18.0-348.7.1.el8_5.x86_64+debug 4.18.0-348.7.1.el8_5 debug kernel-debug-core -',
]

describe.skipIf(missing !== null)(
  `repositories by rpmbuild and createrepo_c (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const lab = useMirrorLab()
    const root = join(lab.work, 'root')
    const os = join(root, 'centos/8/os/x86_64')
    const debug = join(root, 'centos/8/debug/x86_64')
    let key: TestKey

    /** A source whose mirrors are these. */
    function source(mirrors: readonly string[], more: object = {}, repo: object = {}): object {
      return {
        id: 'centos',
        distro: 'centos',
        arches: { x86_64: 'x86_64' },
        politeness: { concurrency: 4, delayMs: 0, because: 'test' },
        indexes: [
          {
            format: 'repomd',
            archives: [{ id: 'vault', name: 'centos', mirrors: mirrors.map((url) => `${url}/centos`) }],
            versions: {
              '8': [{ archive: 'vault', path: '8/{part}/{arch}', each: { part: ['os', 'debug'] }, ...repo }],
            },
            names,
            ...more,
          },
        ],
      }
    }

    beforeAll(() => {
      key = makeKey()
      lab.trust(key)
      const arch = 'x86_64'
      const old = { version: '4.18.0', release: '147.el8', arch }
      const newer = { version: '4.18.0', release: '348.7.1.el8_5', arch }
      buildRpms(join(os, 'Packages'), [
        { name: 'kernel-core', ...old },
        { name: 'kernel-core', ...newer },
        { name: 'kernel', ...newer, ballast: 10 },
        { name: 'kernel-debug-core', ...newer },
        { name: 'kernel-devel', ...newer, ballast: 10 },
        { name: 'kernel-core', version: '4.18.0', release: '999.el8', arch, ballast: 10 },
      ])
      buildRpms(join(debug, 'Packages'), [
        { name: 'kernel-debuginfo', ...old },
        { name: 'kernel-debuginfo', ...newer },
        { name: 'kernel-debuginfo-common-x86_64', ...newer, ballast: 10 },
      ])
      createRepo(debug, 'xml', '.gz')
    })
    afterAll(() => key.remove())

    it.each<['xml' | 'sqlite', RepoCoding]>([
      ['xml', ''],
      ['xml', '.gz'],
      ['xml', '.xz'],
      ['xml', '.zst'],
      ['xml', '.bz2'],
      ['sqlite', '.gz'],
      ['sqlite', '.xz'],
      ['sqlite', '.bz2'],
      ['sqlite', '.zst'],
    ])('gives the same builds from %s%s, with digests of the very packages', async (form, coding) => {
      createRepo(os, form, coding)
      const server = await lab.serve(root)
      const listing = await lab.list(source([server.url]))
      expect(listing.indexes.map(({ outcome, reason, signed }) => [outcome, reason, signed])).toEqual([
        ['new', null, false],
        ['new', null, false],
      ])
      expect(buildsOf(listing)).toEqual(BUILDS)
      const [image] = listing.packages[1]!.images
      const bytes = Buffer.from(await (await fetch(image!.urls[0]!)).arrayBuffer())
      expect([image?.sizeBytes, image?.sha256]).toEqual([bytes.byteLength, sha256Of(bytes)])
      expect(image?.date).toBe('2023-11-14T22:13:20.000Z')
      expect(listing.bytes).toBe(listing.indexes.reduce((sum, index) => sum + index.bytes, 0))
    })

    it('costs one conditional request an index when nothing is new, none where nothing can be', async () => {
      createRepo(os, 'xml', '.gz')
      const server = await lab.serve(root)
      const cache = memoryIndexCache()
      const first = await lab.list(source([server.url]), { cache })
      const second = await lab.list(source([server.url]), { cache })
      expect(second.packages).toEqual(first.packages)
      expect([second.requests, second.bytes]).toEqual([2, 0])
      expect(second.indexes.every(({ outcome }) => outcome === 'unchanged')).toBe(true)
      const frozen = await lab.list(source([server.url], {}, { frozen: true }), { cache })
      expect(frozen.requests).toBe(0)
      expect(frozen.packages.map(({ images }) => images)).toEqual(first.packages.map(({ images }) => images))
    })

    it('knows the packages at every mirror, and goes on to the next where one is ill', async () => {
      createRepo(os, 'xml', '.gz')
      const good = await lab.serve(root)
      const corrupt = await lab.serve(root, (req, res) => {
        if (req.url?.includes('primary') !== true) return false
        res.end('x'.repeat(10))
        return true
      })
      const gone = await lab.serve(root, (req, res) => {
        if (req.url?.includes('primary') !== true) return false
        res.writeHead(404).end()
        return true
      })
      const listing = await lab.list(source([corrupt.url, gone.url, good.url]))
      expect(buildsOf(listing)).toEqual(BUILDS)
      expect(listing.packages[0]?.images[0]?.urls.map((url) => new URL(url).host)).toEqual([
        good.host,
        corrupt.host,
        gone.host,
      ])
      expect(listing.indexes[0]?.reason).toMatch(/repomd.xml lists it, the mirror has it not/)
    })

    it.each<[string, (dir: string) => void, RegExp]>([
      [
        'a list that is not what repomd.xml says',
        (dir) =>
          editRepo(dir, (xml) =>
            xml.replace(/(primary"[^]*?<checksum type="sha256">)......../, '$100000000'),
          ),
        /something else than repomd.xml says/,
      ],
      [
        'a list that unpacks to something else',
        (dir) =>
          editRepo(dir, (xml) =>
            xml.replace(/(primary"[^]*?<open-checksum type="sha256">)......../, '$100000000'),
          ),
        /something else than repomd.xml says/,
      ],
      [
        'a bomb',
        (dir) => editRepo(dir, (xml) => xml.replace(/(primary"[^]*?<open-size>)\d+/, '$1100')),
        /expected at most 100 bytes, got more/,
      ],
      [
        'a truncated list',
        (dir) => writeFileSync(primaryOf(dir), readFileSync(primaryOf(dir)).subarray(0, 300)),
        /something else than repomd.xml says/,
      ],
      ['more than it says', (dir) => appendFileSync(primaryOf(dir), 'more'), /more than/],
      [
        'a captive portal',
        (dir) => writeFileSync(join(dir, 'repodata/repomd.xml'), '<!DOCTYPE html><html>log in</html>'),
        /document type/,
      ],
      ['no XML', (dir) => writeFileSync(join(dir, 'repodata/repomd.xml'), 'hello'), /line 1/],
      ['nothing', (dir) => writeFileSync(join(dir, 'repodata/repomd.xml'), ''), /line 1/],
      [
        'another file',
        (dir) => writeFileSync(join(dir, 'repodata/repomd.xml'), '<metalink/>'),
        /expected repomd, got metalink/,
      ],
      [
        'no checksum',
        (dir) => editRepo(dir, (xml) => xml.replaceAll('type="sha256"', 'type="crc"')),
        /with a checksum, got none/,
      ],
      [
        'a link to this machine',
        (dir) =>
          editRepo(dir, (xml) => xml.replace(/(primary"[^]*?href=")[^"]+/, '$1file:///etc/passwd.xml')),
        /no link that is followed/,
      ],
    ])('refuses %s', async (_what, damage, reason) => {
      createRepo(os, 'xml', '.gz')
      damage(os)
      const server = await lab.serve(root)
      const listing = await lab.list(source([server.url]))
      expect(listing.indexes.map(({ outcome }) => outcome)).toEqual(['failed', 'new'])
      expect(listing.indexes[0]?.reason).toMatch(reason)
      expect(listing.packages.every(({ images }) => images.length === 0)).toBe(true)
    })

    it('takes up a list that breaks off in the middle', async () => {
      createRepo(os, 'xml', '.gz')
      const bytes = readFileSync(primaryOf(os))
      const server = await lab.serve(root, (req, res, nth) => {
        if (req.url?.endsWith(basename(primaryOf(os))) !== true || !req.url.includes('/os/') || nth > 1)
          return false
        breakAfter(res, bytes, 200)
        return true
      })
      expect(buildsOf(await lab.list(source([server.url])))).toEqual(BUILDS)
    })

    it('tells what is not there from what could not be asked', async () => {
      const empty = await lab.serve(join(lab.work, 'keys'))
      expect((await lab.list(source([empty.url]))).indexes.map(({ outcome }) => outcome)).toEqual([
        'absent',
        'absent',
      ])
      await empty.close()
      expect((await lab.list(source([empty.url]))).indexes.map(({ outcome }) => outcome)).toEqual([
        'failed',
        'failed',
      ])
    })

    describe('with keys', () => {
      const keyrings = { system: [], shipped: ['test.asc'] }

      it('holds repomd.xml.asc against them, and says that it did', async () => {
        for (const dir of [os, debug]) {
          createRepo(dir, 'xml', '.gz')
          writeFileSync(
            join(dir, 'repodata/repomd.xml.asc'),
            key.detach(readFileSync(join(dir, 'repodata/repomd.xml'), 'utf8')),
          )
        }
        const server = await lab.serve(root)
        const cache = memoryIndexCache()
        for (let night = 0; night < 2; night++) {
          const listing = await lab.list(source([server.url], { keyrings }), { cache })
          expect(listing.indexes.every(({ signed }) => signed)).toBe(true)
          expect(listing.packages.every(({ images }) => images.every(({ signed }) => signed))).toBe(true)
        }
      })

      it('takes what has no signature for unsigned where not every mirror has one, but no bad one for none', async () => {
        const cache = memoryIndexCache()
        const asc = join(os, 'repodata/repomd.xml.asc')
        const list = async (): Promise<unknown> => {
          const server = await lab.serve(root)
          const file = source([server.url], { keyrings, signature: 'optional' }, { each: { part: ['os'] } })
          const { indexes } = await lab.list(file, { cache })
          return indexes.map(({ outcome, signed }) => [outcome, signed])
        }
        createRepo(os, 'xml', '.gz')
        expect(await list()).toEqual([['new', false]])
        expect(await list()).toEqual([['unchanged', false]])
        writeFileSync(asc, key.detach(readFileSync(join(os, 'repodata/repomd.xml'), 'utf8')))
        expect(await list()).toEqual([['new', true]])
        expect(await list()).toEqual([['unchanged', true]])
        writeFileSync(asc, key.detach('other'))
        expect(await list()).toEqual([['failed', false]])
      })

      it.each<[string, () => void, RegExp]>([
        ['there is none', () => createRepo(os, 'xml', '.gz'), /asc is not there/],
        [
          'it is of nobody we know',
          () => {
            const stranger = makeKey()
            writeFileSync(
              join(os, 'repodata/repomd.xml.asc'),
              stranger.detach(readFileSync(join(os, 'repodata/repomd.xml'), 'utf8')),
            )
            stranger.remove()
          },
          /which is not known/,
        ],
        [
          'it is of another file',
          () => writeFileSync(join(os, 'repodata/repomd.xml.asc'), key.detach('other')),
          /Signed digest did not match/,
        ],
      ])('refuses a repository whose signature does not hold: %s', async (_what, damage, reason) => {
        damage()
        const server = await lab.serve(root)
        const listing = await lab.list(source([server.url], { keyrings }))
        expect(listing.indexes[0]).toMatchObject({ outcome: 'failed' })
        expect(listing.indexes[0]?.reason).toMatch(reason)
      })
    })

    it('reads its folders as web pages where a repository has lost its repodata', async () => {
      createRepo(os, 'xml', '.gz')
      const page = '<html><a href="../">../</a><a href="kernel-core-4.18.0-500.el8.x86_64.rpm">k</a></html>'
      mkdirSync(join(root, 'centos/8/pages/x86_64'), { recursive: true })
      const server = await lab.serve(root, (req, res) => {
        if (req.url !== '/centos/8/pages/x86_64/Packages/') return false
        res.end(page)
        return true
      })
      const repo = { each: { part: ['os', 'pages'] } }
      const listing = await lab.list(source([server.url], { folders: ['Packages'] }, repo))
      expect(listing.indexes.map(({ outcome }) => outcome)).toEqual(['new', 'new'])
      const found = listing.packages.find(({ packageVersion }) => packageVersion === '4.18.0-500.el8')
      expect(found?.images).toMatchObject([
        {
          urls: [`${server.url}/centos/8/pages/x86_64/Packages/kernel-core-4.18.0-500.el8.x86_64.rpm`],
          sizeBytes: null,
          sha256: null,
        },
      ])
    })

    it('goes where a mirror list says, as at Amazon', async () => {
      createRepo(os, 'xml', '.gz')
      const server = await lab.serve(root, (req, res) => {
        if (req.url !== '/centos/8/core/latest/x86_64/mirror.list') return false
        res.end(`http://${req.headers.host}/centos/8/os/$basearch\n`)
        return true
      })
      const repo = { path: '8/core/latest/{arch}', each: {} }
      const listing = await lab.list(source([server.url], { mirrorList: true }, repo))
      expect(listing.packages[0]?.images[0]?.urls[0]).toContain(`${server.url}/centos/8/os/x86_64/Packages/`)
    })
  },
)
