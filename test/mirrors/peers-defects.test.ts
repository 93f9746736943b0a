import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../core/version.ts'
import { loadSources } from '../../crawler/load-sources.ts'
import { kernelNames } from '../../crawler/names.ts'
import { parseRpmFileName, rpmKernelNames } from '../../crawler/rpm/names.ts'
import type { SourceFile } from '../../crawler/schema.ts'
import { buildsOf, type LabListing, useMirrorLab } from './lab.ts'

/** Index pages of one folder each, by their path. */
type Pages = Readonly<Record<string, readonly string[]>>

/**
 * What is known to go wrong in other crawlers of kernels, by what a listing makes of it here. Those that show only when
 * packages are read are in crawl.test.ts beside (one probe is not the end of a series; a failure is recorded; a package
 * that is corrupt at one mirror comes from the next), those of metadata in crawler/repomd (every compression, SQLite),
 * those of HTTP in core/http-client.test.ts (a redirect to a mirror that answers 404 is no 404).
 */
describe('defects that crawlers of kernels are known for', () => {
  const lab = useMirrorLab()
  let sources: ReadonlyMap<string, SourceFile>

  beforeAll(async () => {
    const files = await loadSources(join(packageRoot, 'data/sources'))
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

  it('flavours are part of a release of old Debians too', () => {
    for (const index of sources.get('debian')?.indexes ?? []) {
      if (index.format !== 'apt') throw new Error('expected apt indexes')
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
