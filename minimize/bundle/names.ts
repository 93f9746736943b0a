import { archiveArch, archivePath, type Kernel } from '../../core/kernel.ts'
import type { BundleLayout } from './types.ts'

/**
 * Distributions whose os-release writes `ID="…"`. bcc and Inspektor Gadget take the quotes for a part of the name, and
 * look for `"centos"/7/…`.
 */
const QUOTED_ID: ReadonlySet<string> = new Set([
  'centos',
  'rhel',
  'ol',
  'amzn',
  'sles',
  'opensuse-leap',
  'almalinux',
  'rocky',
  'anolis',
  'alinux',
  'openEuler',
  'kylin',
])

/** Distributions whose os-release writes `VERSION_ID` without quotes. bcc wants some and finds an empty version. */
const BARE_VERSION: ReadonlySet<string> = new Set(['fedora'])

/** Distributions whose os-release has a point release where archives have the major one: the last of each major. */
const LAST_POINT: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  rhel: { 7: 9, 8: 10, 9: 8, 10: 2 },
  ol: { 7: 9, 8: 10, 9: 8, 10: 2 },
  almalinux: { 8: 10, 9: 8, 10: 2 },
  rocky: { 8: 10, 9: 8, 10: 2 },
}

/** The names under which a layout's readers look for a kernel. */
export function namesOf(layout: Exclude<BundleLayout, 'compact'>, kernel: Kernel): readonly string[] {
  const { distro, version, release } = kernel
  switch (layout) {
    case 'tree':
      return [`${archivePath(kernel)}.btf`]
    case 'flat':
      return [`${release}.btf`]
    case 'datadog':
      return [`${distro === 'ubuntu' ? `${distro}/${version}` : distro}/${release}.btf.tar.xz`]
    case 'bcc':
      return lookups(kernel, true).map((name) => `./${name}`)
    case 'gadget':
      return lookups(kernel, false)
  }
}

/**
 * `ID/VERSION_ID/uname-m/uname-r.btf` as it is in os-release and as programs misread it, with btfhub's name of the
 * architecture besides the machine's.
 */
function lookups(kernel: Kernel, isBcc: boolean): string[] {
  const { distro, arch, release } = kernel
  const ids = QUOTED_ID.has(distro) ? [distro, `"${distro}"`] : [distro]
  const versions = [...versionIds(kernel), ...(isBcc && BARE_VERSION.has(distro) ? [''] : [])]
  const arches = [...new Set([arch, archiveArch(arch)])]
  return ids.flatMap((id) =>
    versions.flatMap((version) => arches.map((each) => `${id}/${version}/${each}/${release}.btf`)),
  )
}

/** What `VERSION_ID` may be on systems that run the kernel. */
function versionIds({ distro, version, release }: Kernel): string[] {
  if (distro === 'amzn' && version === '2018') return [version, '2018.03']
  const last = LAST_POINT[distro]?.[version]
  if (last === undefined) return [version]
  // `4.18.0-147.5.1.el8_1` belongs to 8.1; what says no more than `el8` may run on any.
  const point = new RegExp(`\\.el${version}_(\\d+)`).exec(release)?.[1]
  const points = point === undefined ? Array.from({ length: last + 1 }, (_, i) => String(i)) : [point]
  return [version, ...points.map((each) => `${version}.${each}`)]
}
