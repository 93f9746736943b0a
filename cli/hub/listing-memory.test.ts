import { describe, expect, it } from 'vitest'
import type { Arch } from '../../core/kernel.ts'
import { type KernelPackage, packageKey } from '../../core/kernel-package.ts'
import { type IndexReport, memoryIndexCache, type Source } from '../../crawler/index.ts'
import { type Build, type Catalog, coverage, type Failure } from '../../store/index.ts'
import { goneBuilds } from './gone.ts'
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

/** The catalog's memory of indexes, and what else counting looks at. */
function catalogOf(builds: readonly Build[] = [], failures: readonly Failure[] = []): CoverageCatalog {
  const cache = memoryIndexCache()
  return {
    indexMemo: (key) => cache.get(key),
    putIndexMemo: (key, memo) => cache.put(key, memo),
    builds: () => Promise.resolve(builds),
    failures: () => Promise.resolve(failures),
  }
}

type CoverageCatalog = Pick<Catalog, 'indexMemo' | 'putIndexMemo' | 'builds' | 'failures'>
const now = (): Date => new Date(0)
const zero = { listed: 0, embedded: 0, dwarf: 0, other: 0, withoutEbpf: 0, missing: 0, failed: 0, gone: 0 }
const where = { distro: 'debian', version: '12', arch: 'x86_64' }

describe('coverage', () => {
  it('counts what is offered, here, failed and gone, and keeps what a failed listing does not name', async () => {
    const failed = { key: packageKey(c) } as unknown as Failure
    const catalog = catalogOf([build(a, 'embedded'), build(b, 'dwarf')], [failed])
    await rememberListing([b, c, cloud], [report('12', 'new')], { catalog, now })
    await rememberListing([], [report('12', 'failed')], { catalog, now })
    expect(await coverage(catalog)).toEqual([
      { ...where, ...zero, flavour: 'cloud', listed: 1, missing: 1 },
      {
        ...where,
        ...zero,
        flavour: 'default',
        listed: 2,
        embedded: 1,
        dwarf: 1,
        missing: 1,
        failed: 1,
        gone: 1,
      },
    ])
  })

  it('adds what a part of a listing names, also where no whole one was ever read', async () => {
    const catalog = catalogOf()
    for (const more of [{ ...report('12', 'failed') }, { ...report('12', 'new'), partial: true }]) {
      await rememberListing([b], [report('12', 'new'), more], { catalog, now })
      await rememberListing([c], [report('12', 'new'), more], { catalog, now })
      expect(await coverage(catalog)).toMatchObject([{ listed: 2, missing: 2 }])
    }
    await rememberListing([c], [report('12', 'new')], { catalog, now })
    expect(await coverage(catalog)).toMatchObject([{ listed: 1, missing: 1 }])
  })

  it('does not miss what has no eBPF, but counts it where it is here', async () => {
    const useless = { ...c, hasEbpf: false }
    const catalog = catalogOf()
    await rememberListing([b, useless], [report('12', 'new')], { catalog, now })
    expect(await coverage(catalog)).toMatchObject([{ listed: 2, missing: 1, withoutEbpf: 1 }])
    const had = { ...catalog, builds: () => Promise.resolve([build(c, 'dwarf')]) }
    expect(await coverage(had)).toMatchObject([{ listed: 2, missing: 1, withoutEbpf: 0, dwarf: 1, gone: 0 }])
  })
})
