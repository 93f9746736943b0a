import { isDue } from '../../core/back-off.ts'
import { type KernelPackage, modulesKey, type PackageFile, packageKey } from '../../core/kernel-package.ts'
import { compareDebianVersions, type IndexReport, selectPackages } from '../../crawler/index.ts'
import type { Build, Failure } from '../../store/index.ts'
import type { CrawlDeps, CrawlOptions } from './crawl-options.ts'
import { goneBuilds } from './gone.ts'
import { firstRead } from './ingest.ts'
import { listSources } from './list-sources.ts'
import { wholeParts } from './listing-memory.ts'

/**
 * What is to be done for one build. `waiting`: for its next try after a failure, or for an index that could not be read
 * and may name the package that is to be read first.
 */
export type PlanState = 'known' | 'new' | 'waiting' | 'no eBPF'

export interface PlannedPackage {
  readonly pkg: KernelPackage
  readonly state: PlanState
  /** Whether its modules are to be taken in: with the kernel's BTF, or alone where that is there. */
  readonly modules: boolean
  /** Of what is to be done, where that failed before. */
  readonly failure: Failure | null
  /** Bytes of the packages that are to be read first; null where an index does not say. */
  readonly bytes: number | null
}

export interface CrawlPlan {
  /** `performance.now()` when the planning began. */
  readonly startedMs: number
  readonly packages: readonly PlannedPackage[]
  readonly indexes: readonly IndexReport[]
  /** Builds that the hub has and that indexes, all of them read, no longer name: kept, and told. */
  readonly gone: readonly Build[]
}

/** Everything that the indexes offer, and what this hub has of it. Reads indexes, downloads no package. */
export async function planCrawl(options: CrawlOptions, deps: CrawlDeps): Promise<CrawlPlan> {
  const startedMs = performance.now()
  const { listed, indexes, whole } = await listSources(
    // The newest builds are in the archive: what has left it need not be asked for.
    { ...options.scope, past: options.newest === null },
    deps,
  )
  const orders = new Map(
    deps.sources.map((source) => [source.id, source.compareVersions ?? compareDebianVersions]),
  )
  const selected = selectPackages(
    options.forceDwarf ? listed.filter((pkg) => pkg.debugs.length > 0) : listed,
    {
      arches: options.arches,
      ...(options.release !== null && { release: options.release }),
      ...(options.newest !== null && { newest: options.newest }),
      ...(options.since !== undefined && { since: options.since }),
    },
    (a, b, source) => (orders.get(source) ?? compareDebianVersions)(a, b),
  )
  const builds = await deps.catalog.builds()
  const known = new Map(builds.map((build) => [build.key, build]))
  const withModules = options.modules === true ? await deps.catalog.buildsWithModules() : null
  const failures = new Map((await deps.catalog.failures()).map((failure) => [failure.key, failure]))
  const now = deps.now()
  const readWhole = wholeParts(indexes)
  let left = options.limit ?? Infinity
  const packages: PlannedPackage[] = []
  for (const pkg of selected) {
    const key = packageKey(pkg)
    const isReady = (failure: Failure | null): boolean =>
      failure === null || options.retryFailed || isDue(failure, now)
    // A build whose blob was lost (and dropped) is taken in again: the same package gives the same bytes.
    const named = known.get(key) ?? null
    const build = named !== null && (await deps.blobs.size(named.btf.digest)) !== null ? named : null
    const lacksModules = withModules !== null && (named === null || !withModules.has(named.id))
    const modulesFailure = (lacksModules && failures.get(modulesKey(key))) || null
    const modules = lacksModules && isReady(modulesFailure) && !isInFailedPart(pkg, indexes)
    const failure = build === null ? (failures.get(key) ?? null) : modulesFailure
    const ready =
      build === null ? isReady(failure) && (options.forceDwarf || !isHalfListed(pkg, readWhole)) : modules
    const state = stateOf(pkg, build !== null && !lacksModules, ready)
    if (state === 'new' && left-- <= 0) continue
    const bytes = bytesOf(firstRead(pkg, options.forceDwarf, build, modules))
    packages.push({ pkg, state, modules, failure, bytes })
  }
  return { startedMs, packages, indexes, gone: goneBuilds(builds, listed, whole, deps.sources) }
}

/**
 * True where nothing is listed that should be read first, and an index that could not be read may name it: DWARF is not
 * taken because a list of images was ill, nor a kernel called one without BTF because a list of debug packages was.
 */
function isHalfListed(pkg: KernelPackage, readWhole: ReadonlySet<string>): boolean {
  const { distro, version, arch } = pkg.kernel
  if (readWhole.has(`${distro}/${version}/${arch}`)) return false
  return pkg.imagesHaveBtf === false ? pkg.debugs.length === 0 : pkg.images.length === 0
}

/**
 * True where an index of that version and architecture could not be read, which may name packages with modules: those that
 * are listed may be some of them, and half of them are not taken for all. What remembers the past alone is no such index.
 */
function isInFailedPart({ kernel }: KernelPackage, indexes: readonly IndexReport[]): boolean {
  return indexes.some(
    ({ index, version, arch, outcome, past }) =>
      outcome === 'failed' &&
      past !== true &&
      index.startsWith(`${kernel.distro}/`) &&
      version === kernel.version &&
      arch === kernel.arch,
  )
}

/** Null where the size of one is not known. */
function bytesOf(files: readonly PackageFile[]): number | null {
  if (files.length === 0) return null
  return files.reduce<number | null>(
    (sum, { sizeBytes }) => (sum === null || sizeBytes === null ? null : sum + sizeBytes),
    0,
  )
}

function stateOf({ hasEbpf }: KernelPackage, isKnown: boolean, ready: boolean): PlanState {
  if (isKnown) return 'known'
  if (hasEbpf === false) return 'no eBPF'
  return ready ? 'new' : 'waiting'
}
