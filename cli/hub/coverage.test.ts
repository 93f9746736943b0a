import { describe, expect, it } from 'vitest'
import type { Arch } from '../../core/kernel.ts'
import { type KernelPackage, packageKey } from '../../core/kernel-package.ts'
import { type IndexReport, memoryIndexCache, type Source } from '../../crawler/index.ts'
import type { Build, Failure } from '../../store/index.ts'
import { coverage, goneBuilds } from './coverage.ts'
import { rememberListing } from './listing-memory.ts'

function pkg(release: string, version = '12', flavour = 'default'): KernelPackage {
  return {
    kernel: { distro: 'debian', version, arch: 'x86_64', release },
    source: 'debian',
    packageName: `linux-image-${release}`,
    packageVersion: '1',
    flavour,
    series: `debian/${version}/6.1`,
    images: [],
    debugs: [],
  }
}

/** As much of a build as counting looks at. */
function build(of: KernelPackage, origin: 'embedded' | 'dwarf'): Build {
  const provenance = { source: of.source, origin }
  return { key: packageKey(of), kernel: of.kernel, flavour: of.flavour, provenance } as unknown as Build
}

function report(version: string, outcome: IndexReport['outcome'], arch: Arch = 'x86_64'): IndexReport {
  const index = `debian/${version} main`
  return { index, version, arch, url: '', outcome, bytes: 0, signed: true, reason: null }
}

const debian: Source = { id: 'debian', list: () => Promise.resolve({ packages: [], indexes: [] }) }
const [a, b, c, cloud] = [
  pkg('6.1.0-1-amd64'),
  pkg('6.1.0-2-amd64'),
  pkg('6.1.0-3-amd64'),
  pkg('6.1.0-3-cloud-amd64', '12', 'cloud'),
]

describe('what is gone', () => {
  const builds = [build(a, 'embedded'), build(b, 'dwarf'), build(pkg('5.10.0-1-amd64', '11'), 'embedded')]

  it('is what indexes, all of them read, no longer name', () => {
    const indexes = [report('12', 'unchanged'), report('12', 'absent'), report('11', 'new')]
    expect(goneBuilds(builds, [b], indexes, [debian]).map(({ kernel }) => kernel.release)).toEqual([
      '6.1.0-1-amd64',
      '5.10.0-1-amd64',
    ])
  })

  it('is never what a failed listing did not name, nor what nobody asked for', () => {
    expect(goneBuilds(builds, [], [report('12', 'new'), report('12', 'failed')], [debian])).toEqual([])
    expect(goneBuilds(builds, [], [report('12', 'new', 'aarch64')], [debian])).toEqual([])
    expect(goneBuilds(builds, [], [report('12', 'new')], [{ ...debian, id: 'ubuntu' }])).toEqual([])
  })
})

describe('coverage', () => {
  it('counts what is offered, here, failed and gone, and keeps what a failed listing does not name', async () => {
    const cache = memoryIndexCache()
    const deps = { context: { cache }, sources: [debian], now: () => new Date(0) }
    await rememberListing([b, c, cloud], [report('12', 'new')], deps)
    await rememberListing([], [report('12', 'failed')], deps)
    const failed = { key: packageKey(c) } as unknown as Failure
    const catalog = {
      builds: () => Promise.resolve([build(a, 'embedded'), build(b, 'dwarf')]),
      failures: () => Promise.resolve([failed]),
    }
    const where = { distro: 'debian', version: '12', arch: 'x86_64' }
    expect(await coverage(catalog, cache)).toEqual([
      {
        ...where,
        flavour: 'cloud',
        listed: 1,
        embedded: 0,
        dwarf: 0,
        other: 0,
        missing: 1,
        failed: 0,
        gone: 0,
      },
      {
        ...where,
        flavour: 'default',
        listed: 2,
        embedded: 1,
        dwarf: 1,
        other: 0,
        missing: 1,
        failed: 1,
        gone: 1,
      },
    ])
  })
})
