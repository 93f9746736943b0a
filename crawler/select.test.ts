import { describe, expect, it } from 'vitest'
import type { Arch } from '../core/kernel.ts'
import type { KernelPackage } from '../core/kernel-package.ts'
import { selectPackages } from './select.ts'

function pkg(
  release: string,
  version: string,
  flavour = 'default',
  arch: Arch = 'x86_64',
  distro = '12',
): KernelPackage {
  return {
    kernel: { distro: 'debian', version: distro, arch, release },
    source: 'debian',
    packageName: `linux-image-${release}`,
    packageVersion: version,
    flavour,
    series: `debian/${distro}/${/^\d+\.\d+/.exec(release)?.[0] ?? ''}`,
    images: [],
    debugs: [],
  }
}

const packages = [
  pkg('6.1.0-9-amd64', '6.1.27-1'),
  pkg('6.1.0-10-amd64', '6.1.38-1'),
  pkg('6.1.0-10-amd64', '6.1.38-2'),
  pkg('6.1.0-10-cloud-amd64', '6.1.38-2', 'cloud'),
  pkg('6.12.9+bpo-amd64', '6.12.9-1~bpo12+1'),
  pkg('6.12.9-amd64', '6.12.9-1'),
  pkg('6.1.0-10-arm64', '6.1.38-2', 'default', 'aarch64'),
  pkg('6.1.0-0.deb11.1-amd64', '6.1.38-2~deb11u1', 'default', 'x86_64', '11'),
]
const names = (chosen: readonly KernelPackage[]): string[] =>
  chosen.map(({ kernel, packageVersion }) => `${kernel.release} ${packageVersion}`)

describe('selectPackages', () => {
  it('gives all, the newest of everything first', () => {
    expect(names(selectPackages(packages, {}))).toEqual([
      '6.1.0-10-amd64 6.1.38-2',
      '6.1.0-10-cloud-amd64 6.1.38-2',
      '6.12.9-amd64 6.12.9-1',
      '6.1.0-10-arm64 6.1.38-2',
      '6.1.0-0.deb11.1-amd64 6.1.38-2~deb11u1',
      '6.1.0-10-amd64 6.1.38-1',
      '6.12.9+bpo-amd64 6.12.9-1~bpo12+1',
      '6.1.0-9-amd64 6.1.27-1',
    ])
  })

  it('counts the newest per series, flavour and arch', () => {
    expect(names(selectPackages(packages, { newest: 1 }))).toHaveLength(5)
    expect(names(selectPackages(packages, { newest: 2 }))).toHaveLength(7)
  })

  it('selects by release, arch and flavour before it counts', () => {
    expect(names(selectPackages(packages, { release: /-9-/, newest: 1 }))).toEqual(['6.1.0-9-amd64 6.1.27-1'])
    expect(names(selectPackages(packages, { release: /^6\.1\b/g, arches: ['aarch64'] }))).toHaveLength(1)
    expect(names(selectPackages(packages, { flavours: ['cloud'] }))).toHaveLength(1)
  })

  it('stops at its limit', () => {
    expect(selectPackages(packages, { limit: 3 })).toHaveLength(3)
    expect(selectPackages(packages, { limit: 0 })).toEqual([])
  })

  it('leaves the listing as it is', () => {
    const copy = [...packages]
    selectPackages(packages, { newest: 1 })
    expect(packages).toEqual(copy)
  })
})
