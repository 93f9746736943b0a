import type { Arch } from '../core/kernel.ts'
import type { KernelPackage } from '../core/kernel-package.ts'
import { compareDebianVersions } from './apt/version.ts'

/** Which of the listed builds are wanted. */
export interface Selection {
  /** Builds per series, flavour and arch. */
  readonly newest?: number
  /** Matched against the whole release or any part of it, as the expression says. */
  readonly release?: RegExp
  /** Empty or missing means all. */
  readonly arches?: readonly Arch[]
  readonly flavours?: readonly string[]
  /** Only builds with a file built or published then or later; one whose index states no time may be. */
  readonly since?: Date
  /** In all. */
  readonly limit?: number
}

/**
 * The wanted builds, the newest of every series, flavour and arch first, then all second ones, and so on: whoever stops
 * early has seen something of everything. `compare` orders package versions as the source of a build does, dpkg's order
 * by default.
 */
export function selectPackages(
  packages: readonly KernelPackage[],
  selection: Selection,
  compare: (a: string, b: string, source: string) => number = compareDebianVersions,
): KernelPackage[] {
  const { newest = Infinity, limit = Infinity, release, since, arches = [], flavours = [] } = selection
  const groups = new Map<string, KernelPackage[]>()
  for (const pkg of packages) {
    if (arches.length > 0 && !arches.includes(pkg.kernel.arch)) continue
    if (flavours.length > 0 && !flavours.includes(pkg.flavour)) continue
    if (release !== undefined && pkg.kernel.release.search(release) < 0) continue
    if (since !== undefined && isBefore(pkg, since)) continue
    const key = [pkg.source, pkg.series, pkg.flavour, pkg.kernel.arch].join(' ')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [pkg])
    else group.push(pkg)
  }
  const ranked = [...groups.values()].flatMap((group) =>
    group
      .sort(
        (a, b) =>
          compare(b.packageVersion, a.packageVersion, a.source) ||
          compare(b.kernel.release, a.kernel.release, a.source),
      )
      .slice(0, newest)
      .map((pkg, rank) => ({ pkg, rank })),
  )
  // Array.prototype.sort is stable: within a rank the groups keep the order of the listing.
  return ranked
    .sort((a, b) => a.rank - b.rank)
    .slice(0, limit)
    .map(({ pkg }) => pkg)
}

function isBefore(pkg: KernelPackage, since: Date): boolean {
  const dates = [...pkg.images, ...pkg.debugs].map(({ date }) => date)
  return dates.every((date) => date !== undefined && new Date(date) < since)
}
