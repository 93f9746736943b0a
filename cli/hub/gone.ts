import { type KernelPackage, packageKey } from '../../core/kernel-package.ts'
import type { IndexReport, Source } from '../../crawler/index.ts'
import type { Build } from '../../store/index.ts'
import { wholeParts } from './listing-memory.ts'

/** Builds of these sources that indexes, all of them read, no longer name. */
export function goneBuilds(
  builds: readonly Build[],
  listed: readonly KernelPackage[],
  indexes: readonly IndexReport[],
  sources: readonly Source[],
): Build[] {
  const offered = new Set(listed.map((pkg) => packageKey(pkg)))
  const whole = wholeParts(indexes)
  const ids = new Set(sources.map(({ id }) => id))
  return builds.filter(
    ({ key, kernel, provenance }) =>
      ids.has(provenance.source) &&
      whole.has(`${kernel.distro}/${kernel.version}/${kernel.arch}`) &&
      !offered.has(key),
  )
}
