import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../core/version.ts'
import { loadSources } from '../../crawler/load-sources.ts'
import { kernelNames } from '../../crawler/names.ts'
import { parseRpmFileName, rpmKernelNames } from '../../crawler/rpm/names.ts'
import type { SourceFile } from '../../crawler/schema.ts'
import { buildsOf, type LabListing, useMirrorLab, withoutKeys } from './lab.ts'

/** Index pages of one folder each, by their path. */
type Pages = Readonly<Record<string, readonly string[]>>

/**
 * What is known to go wrong in other crawlers of kernels, and the test that shows that it does not here: one below, or
 * one elsewhere by its title.
 */
const ELSEWHERE: readonly (readonly [defect: string, file: string, title: string])[] = [
  [
    'kernels after the first with BTF are left out, those of other series too',
    'test/mirrors/crawl.test.ts',
    'Ubuntu 20.04: a series with BTF ends nothing, kernels of others come after it',
  ],
  [
    'nothing is recorded of a kernel that failed',
    'cli/hub/crawl.test.ts',
    'records why a kernel has no BTF, and does not try it again before its time',
  ],
  [
    "any file with vmlinux in its path is taken, a decompressor's too",
    'extractor/rpm.test.ts',
    'a decompressor',
  ],
  [
    'of one release in two series one kernel is kept',
    'test/mirrors/listing.test.ts',
    'Ubuntu 18.04 and 20.04: one release string, two kernels',
  ],
  [
    'a signed debug package without vmlinux is taken for one',
    'test/mirrors/crawl.test.ts',
    'Ubuntu 20.04: a series with BTF ends nothing',
  ],
  [
    "DWARF that dwz went over becomes an empty BTF, pahole's exit code being 0",
    'extractor/dwarf.test.ts',
    'that dwz went over gives the same types',
  ],
  [
    'a package that one mirror has corrupted becomes an empty archive',
    'test/mirrors/crawl.test.ts',
    'a package that is corrupt at one mirror comes from the next',
  ],
  [
    'metadata is read only where it is called -primary.xml.gz',
    'test/mirrors/end-to-end.test.ts',
    'every kernel with its own BTF as planned',
  ],
  [
    'a redirect to a mirror that lacks the file is the end',
    'core/http-client.test.ts',
    'does not take 404 from a mirror that it was sent to for 404 from the host that it asked',
  ],
  [
    'a BTF that is not there is answered as an error of the server',
    'registry/uploads.test.ts',
    '/api/v1/download?kernel_version=none',
  ],
]

describe('defects that crawlers of kernels are known for', () => {
  const lab = useMirrorLab()
  let sources: ReadonlyMap<string, SourceFile>

  beforeAll(async () => {
    const files = (await loadSources(join(packageRoot, 'data/sources'))).map(withoutKeys)
    sources = new Map(files.map((file) => [file.id, file]))
  })

  async function list(id: string, version: string, archive: string, pages: Pages): Promise<LabListing> {
    const server = await lab.serve(lab.work, (req, res) => {
      const names = pages[req.url ?? '']
      if (names === undefined) return false
      res.end(`<html>${names.map((name) => `<a href="${name}">${name}</a>`).join('\n')}`)
      return true
    })
    const given = [`${server.url}/${archive}`]
    return lab.list(sources.get(id), { versions: [version], arches: ['x86_64'], given })
  }

  it.each(ELSEWHERE)('%s: not here, by %s, %s', (_defect, file, title) => {
    expect(readFileSync(join(packageRoot, file), 'utf8')).toContain(title)
  })

  it('the debug kernel is not taken for the kernel: it has a release of its own', async () => {
    const listing = await list('centos', '8', 'centos-debuginfo', {
      '/centos-debuginfo/8/x86_64/Packages/': [
        'kernel-debug-debuginfo-4.18.0-147.el8.x86_64.rpm',
        'kernel-debuginfo-4.18.0-147.el8.x86_64.rpm',
      ],
    })
    expect(
      buildsOf(listing)
        .map((build) => build.split(' ').slice(0, 3).join(' '))
        .sort(),
    ).toEqual([
      'centos/8/x86_64/4.18.0-147.el8.x86_64 4.18.0-147.el8 default',
      'centos/8/x86_64/4.18.0-147.el8.x86_64+debug 4.18.0-147.el8 debug',
    ])
  })

  it('every number of an ABI is taken, also those with a digit below four', () => {
    const [index] = sources.get('ubuntu')?.indexes ?? []
    if (index?.format !== 'apt') throw new Error('expected an apt index')
    const names = kernelNames(index.names, 'amd64')
    for (let abi = 1; abi < 2000; abi++) {
      expect(names.parse(`linux-image-unsigned-5.4.0-${abi}-generic-dbgsym`)?.release).toBe(
        `5.4.0-${abi}-generic`,
      )
    }
  })

  it('CentOS 7 is not left out for its kernels being called 3.10', async () => {
    const listing = await list('centos', '7', 'centos-debuginfo', {
      '/centos-debuginfo/7/x86_64/': [
        'kernel-debuginfo-3.10.0-957.el7.x86_64.rpm',
        'kernel-debuginfo-3.10.0-1160.119.1.el7.x86_64.rpm',
      ],
    })
    expect(listing.packages.map(({ kernel }) => kernel.release)).toEqual([
      '3.10.0-957.el7.x86_64',
      '3.10.0-1160.119.1.el7.x86_64',
    ])
  })

  it('flavours are part of a release of old Debians too', () => {
    for (const index of sources.get('debian')?.indexes ?? []) {
      if (index.format === 'repomd' || index.format === 'autoindex') throw new Error('expected deb packages')
      const names = kernelNames(index.names, 'amd64')
      expect(names.parse('linux-image-4.9.0-19-rt-amd64-dbg')).toMatchObject({
        release: '4.9.0-19-rt-amd64',
        flavour: 'rt',
      })
      expect(names.parse('linux-image-4.9.0-19-amd64-dbg')).toMatchObject({
        release: '4.9.0-19-amd64',
        flavour: 'default',
      })
    }
  })

  it('every version of a distribution has paths of its own', () => {
    for (const { id, indexes } of sources.values()) {
      for (const index of indexes) {
        const paths = Object.entries(index.versions).map(([version, parts]) =>
          JSON.stringify(parts).replaceAll('{version}', version),
        )
        expect(new Set(paths).size, id).toBe(paths.length)
      }
    }
  })

  it('of every release of Fedora both the release and its updates are read, images and debug packages', () => {
    const [index] = sources.get('fedora')?.indexes ?? []
    if (index?.format !== 'repomd') throw new Error('expected repomd')
    for (const [version, parts] of Object.entries(index.versions)) {
      const paths = parts.map(({ path }) => path)
      expect(new Set(paths).size, version).toBe(paths.length)
      expect(paths.filter((path) => path.startsWith('releases/')).length, version).toBeGreaterThan(0)
      const updates = paths.filter((path) => path.startsWith('updates/'))
      expect(updates.filter((path) => path.includes('debug')).length, version).toBeGreaterThan(0)
      expect(updates.filter((path) => !path.includes('debug')).length, version).toBeGreaterThan(0)
    }
  })

  it("SUSE's counter of builds is not part of a release", () => {
    const [index] = sources.get('opensuse-leap')?.indexes ?? []
    if (index?.format !== 'repomd') throw new Error('expected repomd')
    const names = rpmKernelNames(index.names, 'x86_64')
    const releases = ['5.3.18-24.43.1', '5.3.18-24.43.2'].map((build) => {
      const id = parseRpmFileName(`kernel-default-debuginfo-${build}.x86_64.rpm`)
      return id === null ? null : names.parse(id)?.release
    })
    expect(releases).toEqual(['5.3.18-24.43-default', '5.3.18-24.43-default'])
  })

  it('a package that is missing at a mirror is no error of the listing', async () => {
    const listing = await list('centos', '7', 'centos-debuginfo', {})
    expect(new Set(listing.indexes.map(({ outcome }) => outcome))).toEqual(new Set(['absent']))
  })
})
