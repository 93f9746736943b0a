import PQueue from 'p-queue'
import { isDue } from '../../core/back-off.ts'
import type { Arch } from '../../core/kernel.ts'
import { formatKernel } from '../../core/kernel.ts'
import { describeError, isAbort } from '../../core/errors.ts'
import { type KernelPackage, modulesKey, type PackageFile, packageKey } from '../../core/kernel-package.ts'
import type { Http } from '../../core/http.ts'
import type { Progress } from '../../core/progress.ts'
import {
  compareDebianVersions,
  type CrawlContext,
  type CrawlScope,
  type IndexReport,
  type PackageTrust,
  selectPackages,
  type Source,
} from '../../crawler/index.ts'
import { type Build, type Failure, StoreError } from '../../store/index.ts'
import { goneBuilds } from './gone.ts'
import { rememberListing, wholeParts } from './listing-memory.ts'
import { firstRead, ingest, type IngestDeps } from './ingest.ts'
import { createProbes, type Probes } from './probes.ts'
import { formatBytes, formatSeconds } from '../terminal.ts'

/** What a crawl was asked for. */
export interface CrawlOptions {
  readonly scope: CrawlScope
  readonly arches: readonly Arch[]
  readonly release: RegExp | null
  /** Newest builds per series, flavour and arch; null for all. */
  readonly newest: number | null
  /** Only builds of that time or later. */
  readonly since?: Date
  /** Packages to ingest in this run; null for all. */
  readonly limit: number | null
  readonly jobs: number
  readonly paholeJobs: number
  readonly forceDwarf: boolean
  readonly verify: boolean
  /** Take in the modules of each kernel too, also of those that are known without. */
  readonly modules?: boolean
  readonly retryFailed: boolean
}

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

export interface CrawlDeps extends IngestDeps {
  readonly sources: readonly Source[]
  readonly context: CrawlContext
  /** The client for one source, where what each costs is counted; `context.http` for all by default. */
  readonly httpFor?: (source: string) => Http
  readonly progress: Progress
  /** Told of each build as it lands, before the next is begun: min BTF for the tools is made here. */
  readonly onBuild: (build: Build) => Promise<void>
}

/** Each reads a few indexes of some ten megabytes at a time. */
const SOURCES_AT_ONCE = 4

/** What sources offer now. */
export interface Listed {
  readonly listed: readonly KernelPackage[]
  readonly indexes: readonly IndexReport[]
  /** Those indexes of which everything that there is was asked for. */
  readonly whole: readonly IndexReport[]
}

/** Reads the indexes of sources and remembers what they list. An index that could not be read is in the reports. */
export async function listSources(
  scope: CrawlScope,
  deps: Pick<CrawlDeps, 'sources' | 'catalog' | 'context' | 'httpFor' | 'now'>,
): Promise<Listed> {
  const listed: KernelPackage[] = []
  const indexes: IndexReport[] = []
  const whole: IndexReport[] = []
  // A source whose hosts are slow to answer, or to say nothing, does not keep the others waiting.
  const queue = new PQueue({ concurrency: SOURCES_AT_ONCE })
  const listings = await queue.addAll(
    deps.sources.map((source) => () => source.list(scope, contextOf(source.id, deps))),
  )
  for (const listing of listings) {
    indexes.push(...listing.indexes)
    listed.push(...listing.packages)
    if (listing.partial !== true) whole.push(...listing.indexes)
  }
  await rememberListing(listed, whole, deps)
  return { listed, indexes, whole }
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

function contextOf(
  source: string,
  { context, httpFor }: Pick<CrawlDeps, 'context' | 'httpFor'>,
): CrawlContext {
  return httpFor === undefined ? context : { ...context, http: httpFor(source) }
}

function stateOf({ hasEbpf }: KernelPackage, isKnown: boolean, ready: boolean): PlanState {
  if (isKnown) return 'known'
  if (hasEbpf === false) return 'no eBPF'
  return ready ? 'new' : 'waiting'
}

/** How one build ended in this run. */
export interface BuildOutcome {
  readonly source: string
  readonly kernel: string
  readonly packageName: string
  readonly packageVersion: string
  readonly outcome: 'embedded' | 'dwarf' | 'failed'
  /** The kernel's BTF: it may be there although its modules could not be taken in. */
  readonly btf: string | null
  readonly sizeBytes: number | null
  /** Modules that were taken in; null where none were asked for, or not all could be. */
  readonly modules: number | null
  readonly bytesRead: number
  readonly elapsedMs: number
  readonly code: string | null
  readonly reason: string | null
}

export interface CrawlReport {
  readonly indexes: readonly IndexReport[]
  readonly known: number
  readonly waiting: number
  /** Packages left alone, for their kernel has no eBPF. */
  readonly withoutEbpf: number
  /** Kernels that the hub has and that are offered no longer. */
  readonly gone: readonly string[]
  readonly builds: readonly BuildOutcome[]
  readonly failed: number
  readonly interrupted: boolean
  readonly elapsedMs: number
}

/** Does what a plan says: `jobs` packages at a time, each recorded as soon as it is whole or has failed. */
export async function runCrawl(
  plan: CrawlPlan,
  options: CrawlOptions,
  deps: CrawlDeps,
): Promise<CrawlReport> {
  const { signal } = deps.context
  const todo = plan.packages.filter((planned) => planned.state === 'new')
  const queue = new PQueue({ concurrency: options.jobs })
  const builds: BuildOutcome[] = []
  const probes = createProbes(deps)
  const trusts = await trustsOf(todo, deps)
  const work = todo.map((planned) =>
    queue.add(async () => {
      // What is still queued when the run is interrupted was not tried: it is neither done nor failed.
      if (signal.aborted) return
      const trust = trusts.get(planned.pkg.source) ?? null
      const outcome = await ingestOne(planned, { ...options, trust }, probes, deps)
      if (outcome !== null) builds.push(outcome)
    }),
  )
  try {
    await Promise.all(work)
  } catch (err) {
    // What is under way still wants the store: it ends before the caller closes that.
    queue.clear()
    await queue.onIdle()
    throw err
  }
  return {
    indexes: plan.indexes,
    known: plan.packages.filter((planned) => planned.state === 'known').length,
    waiting: plan.packages.filter((planned) => planned.state === 'waiting').length,
    withoutEbpf: plan.packages.filter((planned) => planned.state === 'no eBPF').length,
    gone: plan.gone.map((build) => formatKernel(build.kernel)),
    builds,
    failed: builds.filter((build) => build.outcome === 'failed').length,
    interrupted: signal.aborted,
    elapsedMs: performance.now() - plan.startedMs,
  }
}

/** By whose keys packages of each source are signed: loaded before anything is fetched, as a keyring may be damaged. */
async function trustsOf(
  todo: readonly PlannedPackage[],
  deps: CrawlDeps,
): Promise<ReadonlyMap<string, PackageTrust | null>> {
  const wanted = new Set(todo.map(({ pkg }) => pkg.source))
  const trusts = new Map<string, PackageTrust | null>()
  for (const source of deps.sources.filter(({ id }) => wanted.has(id))) {
    trusts.set(source.id, (await source.packageTrust?.(contextOf(source.id, deps))) ?? null)
  }
  return trusts
}

/** One build to its end; a failure is recorded with its reason. Null where the run was interrupted in it. */
async function ingestOne(
  planned: PlannedPackage,
  options: CrawlOptions & { readonly trust: PackageTrust | null },
  probes: Probes,
  deps: CrawlDeps,
): Promise<BuildOutcome | null> {
  const pkg = await probes.apply(planned.pkg)
  const context = contextOf(pkg.source, deps)
  const { signal } = context
  const key = packageKey(pkg)
  const kernel = formatKernel(pkg.kernel)
  const started = performance.now()
  let bytesRead = 0
  deps.progress.start(key, kernel, planned.bytes)
  const done = (
    rest: Pick<BuildOutcome, 'outcome' | 'btf' | 'sizeBytes' | 'modules' | 'code' | 'reason'>,
  ): BuildOutcome => ({
    source: pkg.source,
    kernel,
    packageName: pkg.packageName,
    packageVersion: pkg.packageVersion,
    bytesRead,
    elapsedMs: performance.now() - started,
    ...rest,
  })
  try {
    const source = deps.sources.find(({ id }) => id === pkg.source)
    const { build, modules } = await ingest(
      pkg,
      {
        details: (files) => Promise.resolve(source?.details?.(files, context) ?? files),
        forceDwarf: options.forceDwarf,
        verify: options.verify,
        trust: options.trust,
        jobs: options.paholeJobs,
        modules: planned.modules,
        signal,
        onProgress: (phase, bytes) => {
          bytesRead = bytes
          deps.progress.update(key, bytes, phase)
        },
        onImageWithoutBtf: () => probes.teach(pkg),
      },
      { ...deps, http: context.http },
    )
    await deps.onBuild(build)
    if (modules?.kind === 'failed') {
      const { code, reason } = await recordFailure(pkg, modulesKey(key), 'modules: ', modules.reason, deps)
      deps.progress.finish(key, `${kernel}: FAILED ${code}: ${reason}`)
      const { digest, sizeBytes } = build.btf
      return done({
        outcome: 'failed',
        btf: digest,
        sizeBytes,
        modules: null,
        code,
        reason,
      })
    }
    const { origin } = build.provenance
    const count = modules?.count ?? null
    const took = `${formatBytes(bytesRead)} read in ${formatSeconds(performance.now() - started)}`
    deps.progress.finish(
      key,
      `${kernel}: ${origin}, ${formatBytes(build.btf.sizeBytes)} of BTF${count === null ? '' : `, ${count} modules`}, ${took}`,
    )
    return done({
      outcome: origin === 'dwarf' ? 'dwarf' : 'embedded',
      btf: build.btf.digest,
      sizeBytes: build.btf.sizeBytes,
      modules: count,
      code: null,
      reason: null,
    })
  } catch (err) {
    if (signal.aborted && isAbort(err)) {
      deps.progress.finish(key, `${kernel}: interrupted`)
      return null
    }
    // The hub's own disk or catalog is at fault, and would be for every package that follows.
    if (err instanceof StoreError) throw err
    const { code, reason } = await recordFailure(pkg, key, '', err, deps)
    deps.progress.finish(key, `${kernel}: FAILED ${code}: ${reason}`)
    return done({ outcome: 'failed', btf: null, sizeBytes: null, modules: null, code, reason })
  }
}

async function recordFailure(
  { kernel }: KernelPackage,
  key: string,
  /** What of the kernel it is about, before the reason. */
  what: string,
  err: unknown,
  { catalog, log, now }: CrawlDeps,
): Promise<{ readonly code: string; readonly reason: string }> {
  const code = errorCode(err)
  const reason = `${what}${describeError(err)}`
  // Of a disk that was full nothing is remembered against the package: it is due again as soon as there is room.
  if (code !== 'NO_SPACE') {
    await catalog.addFailure({ key, kernel, code, message: reason, lastTryAt: now().toISOString() })
  }
  log.info({ key, code, reason }, 'no BTF from this package')
  return { code, reason }
}

function errorCode(err: unknown): string {
  const code = (err as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : 'INTERNAL'
}
