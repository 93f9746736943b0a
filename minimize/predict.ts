import { compareReleases } from './release-order.ts'

/** A kernel of a hub, and the min BTF of one tool on it. */
export interface KnownMin<T> {
  readonly distro: string
  readonly version: string
  readonly arch: string
  readonly flavour: string
  readonly series: string
  readonly release: string
  /** Equal for equal min BTF: its digest. */
  readonly digest: string
  readonly min: T
}

/** A kernel that the hub lacks. */
export type WantedKernel = Pick<
  KnownMin<unknown>,
  'distro' | 'version' | 'arch' | 'flavour' | 'series' | 'release'
>

/** A guess with its reasons; whoever gives it on says that it is one. */
export interface Prediction<T> {
  readonly predicted: true
  readonly min: T
  /** The kernels before and after, which agree. */
  readonly from: readonly [before: KnownMin<T>, after: KnownMin<T>]
}

/**
 * The min BTF that a kernel most likely needs: that of the next older and the next newer kernel of the same
 * distribution, version, architecture, flavour and series, where both have the same. Null where there are none on both
 * sides, where they differ, or where builds of one neighbour differ among themselves; also where the hub has the kernel
 * itself, which is never guessed. Only for those who ask for a guess: a change that was made and taken back between the
 * two would make it wrong.
 */
export function predictNeighbours<T>(
  wanted: WantedKernel,
  known: readonly KnownMin<T>[],
): Prediction<T> | null {
  const family = known.filter((each) => isOneFamily(each, wanted))
  let before: KnownMin<T> | null = null
  let after: KnownMin<T> | null = null
  for (const each of family) {
    const order = compareReleases(each.release, wanted.release)
    if (order === 0) return null
    if (order < 0 && (before === null || compareReleases(each.release, before.release) > 0)) before = each
    if (order > 0 && (after === null || compareReleases(each.release, after.release) < 0)) after = each
  }
  if (before === null || after === null) return null
  const neighbours = [before.release, after.release]
  const digests = new Set(
    family.filter((each) => neighbours.includes(each.release)).map((each) => each.digest),
  )
  return digests.size === 1 ? { predicted: true, min: before.min, from: [before, after] } : null
}

function isOneFamily(a: WantedKernel, b: WantedKernel): boolean {
  return (
    a.distro === b.distro &&
    a.version === b.version &&
    a.arch === b.arch &&
    a.flavour === b.flavour &&
    a.series === b.series
  )
}
