import type { Sha256 } from '../digest.ts'
import { formatKernel, type Kernel } from '../kernel.ts'
import { trimBanner } from './facts.ts'
import type { KnownBuild } from './types.ts'

/** A kernel with its builds. */
export interface KernelEntry<B extends KnownBuild> {
  /** `core/kernel.formatKernel`: what pages are sorted by. */
  readonly key: string
  readonly kernel: Kernel
  /** Newest first, never empty. */
  readonly builds: readonly B[]
}

/** All builds of a hub at one moment, by whatever they are asked for. Nothing in it changes. */
export class KernelIndex<B extends KnownBuild> {
  /** Sorted by key. */
  readonly entries: readonly KernelEntry<B>[]
  readonly #byKernel = new Map<string, KernelEntry<B>>()
  readonly #byRelease = new Map<string, B[]>()
  readonly #byBuildId = new Map<string, B[]>()
  readonly #byDebugBuildId = new Map<string, B[]>()
  readonly #byBanner = new Map<string, B[]>()
  readonly #byDigest = new Map<string, B[]>()
  readonly #releases: readonly string[]

  constructor(builds: readonly B[]) {
    const newestFirst = [...builds].sort((a, b) => b.id - a.id)
    const byKernel = new Map<string, B[]>()
    for (const build of newestFirst) {
      push(byKernel, formatKernel(build.kernel), build)
      push(this.#byRelease, build.kernel.release, build)
      push(this.#byDigest, build.btf.digest, build)
      const { buildId, debugBuildId = null, banner } = build.provenance
      if (buildId !== null) push(this.#byBuildId, buildId, build)
      if (debugBuildId !== null) push(this.#byDebugBuildId, debugBuildId, build)
      if (banner !== null) push(this.#byBanner, trimBanner(banner), build)
    }
    this.entries = [...byKernel]
      .map(([key, of]) => ({ key, kernel: (of[0] as B).kernel, builds: of }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
    for (const entry of this.entries) this.#byKernel.set(entry.key, entry)
    this.#releases = [...this.#byRelease.keys()].sort()
  }

  /** Builds, newest first, in each of these; empty where there are none. */
  withRelease(release: string): readonly B[] {
    return this.#byRelease.get(release) ?? []
  }

  /** Those whose image has the id; only where none has, those whose debug package's vmlinux has it. */
  withBuildId(buildId: string): readonly B[] {
    return this.#byBuildId.get(buildId) ?? this.#byDebugBuildId.get(buildId) ?? []
  }

  withBanner(banner: string): readonly B[] {
    return this.#byBanner.get(banner) ?? []
  }

  withDigest(digest: Sha256): readonly B[] {
    return this.#byDigest.get(digest) ?? []
  }

  kernel(kernel: Kernel): KernelEntry<B> | null {
    return this.#byKernel.get(formatKernel(kernel)) ?? null
  }

  /** Entries behind `key`, in order; all of them where it is null. */
  *after(key: string | null): Generator<KernelEntry<B>> {
    for (let i = key === null ? 0 : this.#firstAfter(key); i < this.entries.length; i++) {
      yield this.entries[i] as KernelEntry<B>
    }
  }

  /**
   * Kernels with names like a release that is not there, at most `count`: those that share the longest beginning. For
   * people to look at, never to serve instead.
   */
  nearest(release: string, count: number): Kernel[] {
    const at = lowerBound(this.#releases.length, (i) => (this.#releases[i] as string) < release)
    const around = this.#releases.slice(Math.max(0, at - count), at + count)
    const shared = new Map(around.map((other) => [other, sharedPrefix(release, other)]))
    return around
      .filter((other) => (shared.get(other) as number) >= Math.min(3, release.length))
      .sort((a, b) => (shared.get(b) as number) - (shared.get(a) as number))
      .flatMap((other) => distinctKernels(this.withRelease(other)))
      .slice(0, count)
  }

  #firstAfter(key: string): number {
    return lowerBound(this.entries.length, (i) => (this.entries[i] as KernelEntry<B>).key <= key)
  }
}

/** The kernels of builds, each once. */
export function distinctKernels(builds: readonly KnownBuild[]): Kernel[] {
  return [...new Map(builds.map((build) => [formatKernel(build.kernel), build.kernel])).values()]
}

function push<B>(map: Map<string, B[]>, key: string, build: B): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [build])
  else list.push(build)
}

/** The first of 0 to `length` for which `before` is false; `before` is true only up to some index. */
function lowerBound(length: number, before: (index: number) => boolean): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (before(middle)) low = middle + 1
    else high = middle
  }
  return low
}

function sharedPrefix(a: string, b: string): number {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return length
}
