import type { KernelPackage } from '../../core/kernel-package.ts'
import { compareDebianVersions } from '../../crawler/index.ts'
import { sha256Of } from '../../core/digest.ts'
import type { CrawlDeps } from './crawl-options.ts'

/**
 * What probes have taught: the newest build of each series, flavour and architecture whose image carries no BTF. What
 * is older carries none either, for a series never loses the option again; what is newer may (Ubuntu got it at
 * 5.4.0-92), so it is probed once itself. Being wrong costs a debug package, never a BTF.
 */
export interface Probes {
  /** The build, with what is known of its image. */
  apply(pkg: KernelPackage): Promise<KernelPackage>
  /** This build's image carries no BTF. */
  teach(pkg: KernelPackage): void
}

/** Probes of one run, with what earlier runs have left in the catalog. */
export function createProbes(deps: Pick<CrawlDeps, 'context' | 'sources'>): Probes {
  const learnt = new Map<string, string>()
  const { cache, log } = deps.context
  const compare = (pkg: KernelPackage, a: string, b: string): number =>
    (deps.sources.find(({ id }) => id === pkg.source)?.compareVersions ?? compareDebianVersions)(a, b)
  return {
    async apply(pkg) {
      if (pkg.imagesHaveBtf !== undefined) return pkg
      const key = keyOf(pkg)
      const without = learnt.get(key) ?? (await cache.get(key))?.value
      if (without === undefined || compare(pkg, pkg.packageVersion, without) > 0) return pkg
      return { ...pkg, imagesHaveBtf: false }
    },
    teach(pkg) {
      const key = keyOf(pkg)
      const known = learnt.get(key)
      if (known !== undefined && compare(pkg, pkg.packageVersion, known) <= 0) return
      learnt.set(key, pkg.packageVersion)
      const memo = { etag: null, lastModified: null, sha256: sha256Of(pkg.packageVersion) }
      cache.put(key, { ...memo, value: pkg.packageVersion }).catch((err: unknown) => {
        log.warn({ err }, 'what a probe has taught could not be kept')
      })
    },
  }
}

function keyOf({ source, series, flavour, kernel }: KernelPackage): string {
  return `image-without-btf/1 ${[source, series, flavour, kernel.arch].join(' ')}`
}
