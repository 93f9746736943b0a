import { describe, expect, it } from 'vitest'
import type { KernelPackage } from '../../core/kernel-package.ts'
import { silentLog } from '../../core/log.ts'
import { compareRpmVersions, memoryIndexCache, type Source } from '../../crawler/index.ts'
import type { CrawlDeps } from './crawl-options.ts'
import { worthReading } from './ingest.ts'
import { createProbes } from './probes.ts'

const file = {
  name: 'kernel',
  version: '1',
  urls: ['http://h/x'],
  sizeBytes: null,
  sha256: null,
  signed: false,
}

function pkg(version: string, flavour = 'default', more: Partial<KernelPackage> = {}): KernelPackage {
  return {
    kernel: { distro: 'ol', version: '7', arch: 'x86_64', release: `${version}.x86_64` },
    source: 'ol',
    packageName: 'kernel',
    packageVersion: version,
    flavour,
    series: 'ol/7/5.4',
    images: [file],
    debugs: [{ ...file, name: 'kernel-debuginfo' }],
    ...more,
  }
}

function deps(cache = memoryIndexCache()): Pick<CrawlDeps, 'context' | 'sources'> {
  const source: Source = {
    id: 'ol',
    compareVersions: compareRpmVersions,
    list: () => Promise.resolve({ packages: [], indexes: [] }),
  }
  const unused = { document: () => Promise.resolve(null), stream: () => Promise.resolve(null) }
  const { signal } = new AbortController()
  return { sources: [source], context: { http: unused, cache, log: silentLog, signal } }
}

describe('what a probe teaches', () => {
  it('saves the images of older builds of its series and flavour, and of no others', async () => {
    const probes = createProbes(deps())
    probes.teach(pkg('5.4.17-2102.201.3.el7uek'))
    const worth = async (one: KernelPackage): Promise<number> =>
      worthReading(await probes.apply(one), false).length
    expect(await worth(pkg('5.4.17-2102.201.3.el7uek'))).toBe(1)
    expect(await worth(pkg('5.4.17-2036.el7uek'))).toBe(1)
    // The peers' rule (one tells for all that follow) loses UEK and HWE kernels: what is newer is probed itself.
    expect(await worth(pkg('5.4.17-2136.el7uek'))).toBe(2)
    expect(await worth(pkg('5.4.17-2036.el7uek', 'debug'))).toBe(2)
    expect(await worth(pkg('5.4.17-2036.el7uek', 'default', { series: 'ol/7/5.5' }))).toBe(2)
  })

  it('is kept for later runs, the newest build of all', async () => {
    const cache = memoryIndexCache()
    const first = createProbes(deps(cache))
    first.teach(pkg('5.4.17-2102.el7uek'))
    first.teach(pkg('5.4.17-2036.el7uek'))
    const later = createProbes(deps(cache))
    expect((await later.apply(pkg('5.4.17-2102.el7uek'))).imagesHaveBtf).toBe(false)
    expect((await later.apply(pkg('5.4.17-2102.1.el7uek'))).imagesHaveBtf).toBeUndefined()
  })

  it('does not stand against what the source says, nor where there is no debug package', async () => {
    const probes = createProbes(deps())
    probes.teach(pkg('5.4.17-2102.el7uek'))
    const told = await probes.apply(pkg('5.4.17-2036.el7uek', 'default', { imagesHaveBtf: true }))
    expect(worthReading(told, false)).toHaveLength(2)
    const alone = await probes.apply(pkg('5.4.17-2036.el7uek', 'default', { debugs: [] }))
    expect(worthReading(alone, false)).toHaveLength(1)
  })
})
