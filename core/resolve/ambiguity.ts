import { formatKernel } from '../kernel.ts'
import type { KnownBuild } from './types.ts'

/** The facts in which builds differ, by the names that queries have for them. */
export function tellApart(builds: readonly KnownBuild[]): string[] {
  const facts: Readonly<Record<string, (build: KnownBuild) => string | null>> = {
    distro: (build) => build.kernel.distro,
    version: (build) => build.kernel.version,
    arch: (build) => build.kernel.arch,
    build_id: (build) => build.provenance.buildId,
    banner: (build) => build.provenance.banner,
  }
  return Object.entries(facts)
    .filter(([, of]) => new Set(builds.map(of)).size > 1)
    .map(([name]) => name)
}

/** A line for people about several builds. */
export function listKernels(builds: readonly KnownBuild[]): string {
  return builds
    .map(
      (build) =>
        `${formatKernel(build.kernel)} (${build.provenance.packageVersion ?? build.btf.digest.slice(0, 12)})`,
    )
    .join(', ')
}
