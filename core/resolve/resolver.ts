import { type Kernel, parseVersion } from '../kernel.ts'
import { type KernelFacts, trimBanner } from './facts.ts'
import { distinctKernels, type KernelIndex } from './kernel-index.ts'
import type { KnownBuild } from './types.ts'

/** Which fact found a build. */
export type ResolvedBy = 'build-id' | 'banner' | 'release' | 'like'

/** What a hub can say about a kernel that somebody described. */
export type Resolution<B extends KnownBuild> =
  /** `build` is the newest of builds that are all interchangeable. */
  | {
      readonly kind: 'found'
      readonly build: B
      /** All of those, newest first. */
      readonly builds: readonly B[]
      readonly match: ResolvedBy
    }
  /** Builds of different layout match: the newest of each layout. None of them may be given. */
  | { readonly kind: 'ambiguous'; readonly builds: readonly B[]; readonly match: ResolvedBy }
  | { readonly kind: 'not-found'; readonly detail: string; readonly nearest: readonly Kernel[] }
  /** The facts exclude each other. */
  | { readonly kind: 'contradiction'; readonly detail: string }
  /** Nothing was said that names a kernel. */
  | { readonly kind: 'unasked' }

/** How many similar names a "not found" carries. */
const NEAREST = 5

/** Distributions that rebuild each other's kernels under the same release. */
const CLONES: readonly (readonly string[])[] = [
  ['rhel', 'centos', 'rocky', 'almalinux', 'ol', 'scientific', 'eurolinux', 'cloudlinux'],
]

/**
 * Finds the build that facts describe (DESIGN 4.1): by build-id, else by banner, else by release with architecture,
 * distribution and version. A build-id or banner names one image wherever it runs, so the distribution, which may be a
 * container's, does not count against it; a build that is known to have another build-id or banner than the asker's is
 * never given by its name.
 */
export function resolve<B extends KnownBuild>(index: KernelIndex<B>, facts: KernelFacts): Resolution<B> {
  if (facts.buildId !== null) {
    const builds = index.withBuildId(facts.buildId)
    if (builds.length > 0) return pickConsistent(builds, facts, 'build-id')
  }
  if (facts.banner !== null) {
    const builds = index.withBanner(facts.banner).filter((build) => !isKnownOther(build, facts))
    if (builds.length > 0) return pickConsistent(builds, facts, 'banner')
  }
  if (facts.release === null) {
    return facts.buildId === null
      ? { kind: 'unasked' }
      : { kind: 'not-found', detail: `no build has build-id ${facts.buildId}`, nearest: [] }
  }
  return byName(index, facts, facts.release)
}

/** The newest of interchangeable builds; of others, the newest of each layout. `builds` are newest first. */
function pick<B extends KnownBuild>(builds: readonly B[], match: ResolvedBy): Resolution<B> {
  const newestOfLayout = [...new Map([...builds].reverse().map((b) => [b.layoutDigest, b])).values()]
  const newest = builds[0] as B
  return newestOfLayout.length === 1
    ? { kind: 'found', build: newest, builds, match }
    : { kind: 'ambiguous', builds: newestOfLayout.sort((a, b) => b.id - a.id), match }
}

function byName<B extends KnownBuild>(
  index: KernelIndex<B>,
  facts: KernelFacts,
  release: string,
): Resolution<B> {
  const sameRelease = index.withRelease(release)
  const sameArch = sameRelease.filter((b) => facts.arch === null || b.kernel.arch === facts.arch)
  const named = sameArch.filter(
    (b) => (facts.distro === null || b.kernel.distro === facts.distro) && hasVersion(b, facts.version),
  )
  const possible = named.filter((build) => !isKnownOther(build, facts))
  if (possible.length > 0) return pick(possible, 'release')
  if (facts.like && named.length === 0) {
    const clones = clonesOf(sameArch, facts).filter((build) => !isKnownOther(build, facts))
    if (clones.length > 0) return pick(clones, 'like')
  }
  return {
    kind: 'not-found',
    detail: whyNot(facts, release, sameRelease, named),
    nearest:
      sameRelease.length > 0
        ? distinctKernels(sameRelease).slice(0, NEAREST)
        : index.nearest(release, NEAREST),
  }
}

function whyNot(
  facts: KernelFacts,
  release: string,
  sameRelease: readonly KnownBuild[],
  named: readonly KnownBuild[],
): string {
  if (named.length > 0) {
    const have = new Set(named.map((b) => b.provenance.buildId ?? b.provenance.banner))
    const shown = [...have].slice(0, NEAREST).join(', ')
    return `${release} is here, but not the build that was described: those here are ${shown}`
  }
  const where = [facts.distro, facts.version, facts.arch].filter((part) => part !== null).join(' ')
  return sameRelease.length > 0
    ? `no ${release} for ${where}; it is here for others`
    : `no kernel has release ${release}`
}

function hasVersion(build: KnownBuild, version: string | null): boolean {
  return version === null || parseVersion(build.kernel.distro, version) === build.kernel.version
}

/** Builds of what the asker's distribution is a clone of; those of the same version only, where there are any. */
function clonesOf<B extends KnownBuild>(builds: readonly B[], facts: KernelFacts): B[] {
  const family = CLONES.find((clones) => facts.distro !== null && clones.includes(facts.distro)) ?? []
  const like = new Set([...facts.likeDistros, ...family])
  const clones = builds.filter((build) => like.has(build.kernel.distro))
  const sameVersion = clones.filter((build) =>
    [facts.version, facts.codename].some((version) => version !== null && hasVersion(build, version)),
  )
  return sameVersion.length > 0 ? sameVersion : clones
}

/** True where the asker's build-id or banner is known not to be this build's. */
function isKnownOther(build: KnownBuild, facts: KernelFacts): boolean {
  const { buildId, debugBuildId, banner } = build.provenance
  return (
    (facts.buildId !== null &&
      buildId !== null &&
      buildId !== facts.buildId &&
      debugBuildId !== facts.buildId) ||
    (facts.banner !== null && banner !== null && trimBanner(banner) !== facts.banner)
  )
}

/**
 * The builds that a build-id or banner named and that nothing else speaks against. Where all are spoken against, one of
 * the facts is wrong, and nobody knows which.
 */
function pickConsistent<B extends KnownBuild>(
  builds: readonly B[],
  facts: KernelFacts,
  match: 'build-id' | 'banner',
): Resolution<B> {
  const consistent = builds.filter((build) => objection(build, facts) === null)
  if (consistent.length > 0) return pick(consistent, match)
  const detail = builds.map((build) => objection(build, facts)).join('; ')
  return { kind: 'contradiction', detail: `the ${match} is of a kernel ${detail}` }
}

function objection(build: KnownBuild, facts: KernelFacts): string | null {
  const { release, arch } = build.kernel
  if (facts.release !== null && facts.release !== release) return `${release}, asked was ${facts.release}`
  if (facts.arch !== null && !facts.archAssumed && facts.arch !== arch) {
    return `for ${arch}, asked was ${facts.arch}`
  }
  return isKnownOther(build, facts) ? `${release} that has another build-id or banner than asked` : null
}
