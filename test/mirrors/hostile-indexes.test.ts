import { mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { limits } from '../../core/limits.ts'
import { checkName } from '../../core/kernel.ts'
import { startCli } from '../helpers/cli.ts'
import { watchPeakMemory } from '../helpers/peak-memory.ts'
import { serveLoopback } from '../loopback.ts'
import { type LabListing, useMirrorLab } from './lab.ts'
import { missingServer, startNginx } from './servers.ts'
import { type WrittenRpm, writeRepodata } from './written-repo.ts'

const GOOD = { name: 'kernel-core', version: '5.10.134', release: '16.1.an8' }

/** A source with one repository, read as this format. */
function source(format: 'repomd' | 'autoindex', url: string): object {
  return {
    id: 'anolis',
    distro: 'anolis',
    arches: { x86_64: 'x86_64' },
    politeness: { concurrency: 4, delayMs: 0, because: 'test' },
    indexes: [
      {
        format,
        archives: [{ id: 'anolis', name: 'anolis', mirrors: [url] }],
        versions: { '8': [{ archive: 'anolis', path: 'os' }] },
        names: {
          kernels: [
            { image: ['kernel-core'], debug: ['kernel-debuginfo'], uname: '{version}-{release}.{arch}' },
          ],
        },
      },
    ],
  }
}

describe('an index that is out for no good', () => {
  const lab = useMirrorLab()

  async function list(packages: Iterable<WrittenRpm>): Promise<LabListing> {
    const root = mkdtempSync(join(lab.work, 'root-'))
    writeRepodata(join(root, 'os'), packages)
    return await lab.list(source('repomd', (await lab.serve(root)).url))
  }

  const releases = ({ packages }: LabListing): string[] => packages.map(({ kernel }) => kernel.release)
  const GOOD_RELEASE = '5.10.134-16.1.an8.x86_64'

  it.each<[string, Partial<WrittenRpm>]>([
    ['a version of 256 characters', { version: `5.10.${'1'.repeat(251)}` }],
    ['a release of 4096 characters', { release: '1'.repeat(4096) }],
    [
      'version and release that are too long together',
      { version: `5.${'1'.repeat(150)}`, release: '1'.repeat(99) },
    ],
    ['a link of 100,000 characters', { href: `Packages/${'k'.repeat(100_000)}.rpm` }],
    ['letters that look like others', { version: '5.1О.134' }],
    ['a release in another script', { release: '十六.an8' }],
    ['a mark that turns the writing round', { release: '16\u202e1.an8' }],
    ['letters made of two', { release: '16e\u0301.an8' }],
    ['an escape of a terminal', { release: '16\u001b[31m.an8' }],
    ['a bell', { version: '5.10\u0007' }],
    ['a NUL', { release: '16\u0000.an8' }],
    ['a line break', { release: '16\n.an8' }],
    ['a blank', { version: '5.10 .134' }],
    ['a slash', { release: '16/../../etc' }],
    ['two dots', { release: '16..an8' }],
    ['dots alone', { version: '..', release: '..' }],
    ['a backslash', { release: '16\\an8' }],
    ['a link with a NUL', { href: 'Packages/a\u0000.rpm' }],
    ['a link with a line break', { href: 'Packages/a\nb.rpm' }],
    ['a link to a file of this machine', { href: 'file:///etc/passwd' }],
    ['a link to another protocol', { href: 'ftp://h/kernel.rpm' }],
    ['a link to code', { href: 'javascript:alert(1)' }],
    ['an empty link', { href: '' }],
  ])('cannot smuggle in a package with %s', async (_what, bad) => {
    const listing = await list([{ ...GOOD, release: '1.an8', ...bad }, GOOD])
    // XML that is none takes the whole list with it: then nothing comes of it either.
    const [index] = listing.indexes
    if (index?.outcome === 'failed') expect(index.reason).toMatch(/expected|XML|invalid|character/i)
    else expect(releases(listing)).toEqual([GOOD_RELEASE])
  })

  it('cannot make us ask for files outside of any mirror, wherever its links climb', async () => {
    const climbing = [
      '../../../../../../etc/passwd',
      '%2e%2e/%2e%2e/etc/passwd',
      '//h/../../x.rpm',
      'a/../../b.rpm',
    ]
    const { packages } = await list(climbing.map((href, i) => ({ ...GOOD, release: `${i}.an8`, href })))
    const urls = packages.flatMap(({ images }) => images.flatMap((file) => file.urls))
    expect(urls).toHaveLength(climbing.length)
    for (const url of urls) {
      expect(new URL(url).protocol).toBe('http:')
      expect(new URL(url).pathname).not.toMatch(/\.\.|%2e/i)
    }
    for (const { kernel } of packages) expect(() => checkName('release', kernel.release)).not.toThrow()
  })

  it('is read once for a package that it names ten thousand times, in one place, in as many, or with as many digests', async () => {
    const many = (change: (i: number) => Partial<WrittenRpm>): WrittenRpm[] =>
      Array.from({ length: 10_000 }, (_, i) => ({ ...GOOD, ...change(i) }))
    const digest = (i: number): string => i.toString(16).padStart(64, '0')
    for (const [packages, most] of [
      [many(() => ({})), 1],
      [many((i) => ({ href: `Packages/${i}/k.rpm` })), limits.index.maxUrls],
      [many((i) => ({ sha256: digest(i), href: `Packages/${i}.rpm` })), 1],
    ] as const) {
      const listing = await list(packages)
      expect(releases(listing)).toEqual([GOOD_RELEASE])
      const files = listing.packages.flatMap(({ images }) => images)
      expect(files).toHaveLength(1)
      expect(files[0]?.urls).toHaveLength(most)
    }
  })

  it('that is a web page is left at its own folder, though pages link to each other in circles', async () => {
    const links = [
      '../',
      './',
      'other/',
      '../os/',
      '../other/os/',
      'kernel-core-5.10.134-16.1.an8.x86_64.rpm',
    ]
    const page = links.map((href) => `<a href="${href}">${href}</a>`).join('\n')
    // As where a link on a mirror's disk leads to a folder above it: the same page at any depth.
    const server = await serveLoopback((_req, res) => void res.end(`<html>${page}</html>`))
    lab.onClose(() => server.close())
    const listing = await lab.list(source('autoindex', server.url))
    expect([releases(listing), listing.requests]).toEqual([[GOOD_RELEASE], 1])
  })

  it('in pages of a bucket that lead round in a circle ends, as what it is', async () => {
    const server = await serveLoopback((req, res) => {
      const token = new URL(req.url ?? '/', 'http://x').searchParams.get('continuation-token')
      const next = token === 'a' ? 'b' : 'a'
      res.writeHead(200).end(
        `<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated>
         <NextContinuationToken>${next}</NextContinuationToken></ListBucketResult>`,
      )
    })
    lab.onClose(() => server.close())
    const listing = await lab.list(source('autoindex', server.url))
    expect(listing.indexes).toMatchObject([{ outcome: 'failed' }])
    expect(listing.indexes[0]?.reason).toMatch(/a listing that does not end/)
    expect(listing.requests).toBeLessThan(5)
  })
})

const missing = missingServer()

describe.skipIf(missing !== null)(
  `an index of ten thousand kernels in four flavours (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    it('is planned and crawled in little memory, and remembered by its failures', async () => {
      const work = mkdtempSync(join(tmpdir(), 'btfhub-many-'))
      onTestFinished(() => rmSync(work, { recursive: true, force: true }))
      const flavours = ['kernel-core', 'kernel-debug-core', 'kernel-rt-core', 'kernel-rt-debug-core']
      function* all(): Generator<WrittenRpm> {
        for (let at = 0; at < 10_000; at++) {
          for (const name of flavours) yield { name, version: '5.14.0', release: `${at}.el9` }
        }
      }
      writeRepodata(join(work, 'root/centos-stream/9-stream/BaseOS/x86_64/os'), all())
      const nginx = await startNginx(join(work, 'root'), work)
      onTestFinished(() => nginx.close())
      const crawl = async (
        ...args: readonly string[]
      ): Promise<{ peak: number; out: string; code: number }> => {
        const scope = ['--version', '9', '--arch', 'x86_64', '--mirror', `${nginx.url}/centos-stream`]
        const child = startCli(['crawl', 'centos', ...scope, '--data', join(work, 'hub'), '--json', ...args])
        const peak = watchPeakMemory(child)
        let out = ''
        child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()))
        const [code] = (await once(child, 'close')) as [number]
        return { peak: peak(), out, code }
      }
      const plan = await crawl('--plan')
      expect((JSON.parse(plan.out) as { packages: object[] }).packages).toHaveLength(40_000)
      // None of the packages is there: each that is tried is a failure, and the others are left for another night.
      const run = await crawl('--limit', '20')
      expect(run.code).toBe(1)
      expect(JSON.parse(run.out)).toMatchObject({ failed: 20 })
      for (const { peak } of [plan, run]) {
        expect(peak).toBeGreaterThan(50_000_000)
        expect(peak).toBeLessThan(500_000_000)
      }
    })
  },
)
