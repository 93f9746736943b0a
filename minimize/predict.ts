import { compareReleases, mainlineSeries } from './release-order.ts'

/** A build of a kernel that a hub has. */
export interface KnownKernel {
  readonly kernel: WantedKernel
  readonly flavour: string
  readonly series: string
}

/** A kernel that the hub lacks. */
export interface WantedKernel {
  readonly distro: string
  readonly version: string
  readonly arch: string
  readonly release: string
}

/** The builds of the next older and of the next newer kernel. Neither list is empty. */
export interface Neighbours<K extends KnownKernel> {
  readonly before: readonly K[]
  readonly after: readonly K[]
}

/**
 * The kernels between which one that nobody has belongs: the next older and the next newer one of the same
 * distribution, version, architecture, flavour and series. Which flavour and series it is of, its release has to say:
 * they are those of the kernels whose releases are written alike (`6.1.0-#-cloud-amd64`), where these agree. Null where
 * they do not, where there is no kernel on both sides, and where the kernel is known, which is never guessed. A change
 * that was made and taken back between the two would make a guess from them wrong: only for those who ask for one.
 */
export function neighboursOf<K extends KnownKernel>(
  wanted: WantedKernel,
  known: readonly K[],
): Neighbours<K> | null {
  const system = known.filter(({ kernel }) => isOfSystem(kernel, wanted))
  const alike = system.filter(({ kernel }) => shape(kernel.release) === shape(wanted.release))
  const [family, ...others] = new Set(alike.map(familyOf))
  if (family === undefined || others.length > 0) return null
  const relatives = system.filter((each) => familyOf(each) === family)
  let before: string | null = null
  let after: string | null = null
  for (const { release } of relatives.map(({ kernel }) => kernel)) {
    const order = compareReleases(release, wanted.release)
    if (order === 0) return null
    if (order < 0 && (before === null || compareReleases(release, before) > 0)) before = release
    if (order > 0 && (after === null || compareReleases(release, after) < 0)) after = release
  }
  if (before === null || after === null) return null
  const buildsOf = (release: string): K[] => relatives.filter(({ kernel }) => kernel.release === release)
  return { before: buildsOf(before), after: buildsOf(after) }
}

function isOfSystem(a: WantedKernel, b: WantedKernel): boolean {
  return a.distro === b.distro && a.version === b.version && a.arch === b.arch
}

/** How a release is written: its mainline version, and the rest with its numbers left open. */
function shape(release: string): string {
  return `${mainlineSeries(release)} ${release.replace(/\d+/g, '#')}`
}

function familyOf({ flavour, series }: KnownKernel): string {
  return JSON.stringify([flavour, series])
}
