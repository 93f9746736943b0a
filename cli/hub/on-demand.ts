import PQueue from 'p-queue'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDue } from '../../core/back-off.ts'
import { describeError, isAbort } from '../../core/errors.ts'
import type { HttpClient } from '../../core/http-client.ts'
import { type Kernel, makeKernel, parseVersion } from '../../core/kernel.ts'
import { type KernelPackage, packageKey } from '../../core/kernel-package.ts'
import { limits } from '../../core/limits.ts'
import type { Log } from '../../core/log.ts'
import { noProgress } from '../../core/progress.ts'
import type { IndexCache, IndexReport, Source } from '../../crawler/index.ts'
import { TempSpace } from '../../extractor/index.ts'
import { type KernelFacts, type Supplier, type Supply, SupplyError } from '../../registry/index.ts'
import { type BlobStore, type Build, type Catalog, recordedListings } from '../../store/index.ts'
import { Background } from './background.ts'
import { runCrawl } from './crawl.ts'
import { type CrawlDeps, type CrawlOptions } from './crawl-options.ts'
import { listSources } from './list-sources.ts'

export interface OnDemandOptions {
  /** Packages that are worked on at a time. */
  readonly jobs: number
  /** Packages that may wait for their turn. */
  readonly maxWaiting: number
  /** How old a recorded listing may get before the source is asked again. */
  readonly listEveryMs: number
  /** Cores for one pahole. */
  readonly paholeJobs: number
  /** Base URLs that replace the sources' own mirrors; none for theirs. */
  readonly mirrors: readonly string[]
}

export const defaultOnDemand: OnDemandOptions = {
  jobs: 1,
  maxWaiting: 16,
  listEveryMs: 12 * 3600_000,
  paholeJobs: 1,
  mirrors: [],
}

export interface OnDemandDeps {
  readonly sources: readonly Source[]
  readonly catalog: Catalog
  readonly blobs: BlobStore
  readonly tempDir: string
  readonly cache: IndexCache
  /** A client that has learnt nothing about ill hosts yet; its user closes it. */
  readonly openHttp: () => HttpClient
  readonly log: Log
  readonly now: () => Date
  /** Told of each new build; nobody waits for it. */
  readonly onBuild: (build: Build) => Promise<void>
}

/** One build that a source lists, as recorded listings have it. */
interface ListedBuild {
  readonly key: string
  readonly source: string
  readonly kernel: Kernel
}

/** What recorded listings say is read again after this while; crawls may have written others. */
const RECORDED_MS = 30_000
/** A source that was just asked is not asked again for another package of the same version and architecture. */
const LISTED_MS = 10 * 60_000
/** A package whose mirror was ill is tried again after this, whatever a crawl's back-off says: somebody waits. */
const ILL_AGAIN_MS = 5 * 60_000
/** A source whose listing stays old, because a part of it cannot be read, is asked again after this. */
const RELIST_MS = 3600_000
/** How often it is looked whether a listing has become old. */
const LOOK_EVERY_MS = 10 * 60_000

/**
 * Extracts what a source lists and somebody asks for. What is asked is compared with the listings that the catalog has:
 * no question, whatever it says, makes an outward request unless it names a listed release. Listings are kept fresh in
 * the background, so that new kernels are known soon.
 */
export class OnDemand implements Supplier {
  readonly name = 'on-demand'
  readonly #deps: OnDemandDeps
  readonly #tempSpace: TempSpace
  readonly #options: OnDemandOptions
  readonly #queue: PQueue
  readonly #underWay = new Map<string, Promise<Supply>>()
  readonly #background: Background
  readonly #parts = new Map<string, { readonly at: number; readonly packages: Promise<PartListing> }>()
  readonly #relistedAt = new Map<string, number>()
  readonly #stop = new AbortController()
  readonly #stopped: Promise<never>
  #recorded: { readonly at: number; readonly byRelease: Promise<ReadonlyMap<string, ListedBuild[]>> } | null =
    null
  #refreshing: Promise<void> | null = null

  constructor(deps: OnDemandDeps, options: Partial<OnDemandOptions> = {}) {
    this.#deps = deps
    this.#tempSpace = new TempSpace(deps.tempDir)
    this.#background = new Background(deps.log)
    this.#options = { ...defaultOnDemand, ...options }
    this.#queue = new PQueue({ concurrency: this.#options.jobs })
    this.#stopped = new Promise<never>((_, reject) => {
      this.#stop.signal.addEventListener('abort', () =>
        reject(new SupplyError('ILL', 'this hub is stopping')),
      )
    })
    this.#stopped.catch(() => {})
  }

  get queued(): number {
    return this.#queue.size + this.#queue.pending
  }

  /** Asks sources whose listing is missing or old, now and from time to time, until {@link close}. */
  start(): void {
    this.#refreshing ??= this.#keepFresh()
  }

  async supply(facts: KernelFacts): Promise<Supply> {
    const { release } = facts
    if (release === null) return { kind: 'absent', why: null }
    const sameRelease = (await this.#listed()).get(release) ?? []
    const meant = sameRelease.filter(({ kernel }) => mayMean(facts, kernel))
    if (meant.length === 0) return { kind: 'absent', why: null }
    // All of that name: were only the asked one here, who asks less exactly would be given it, right or wrong.
    const arches = new Set(meant.map(({ kernel }) => kernel.arch))
    const missing: ListedBuild[] = []
    for (const build of sameRelease.filter(({ kernel }) => arches.has(kernel.arch))) {
      if ((await this.#deps.catalog.buildByKey(build.key)) === null) missing.push(build)
    }
    if (missing.length > limits.request.maxSupplied) {
      const why = `it is listed ${missing.length} times, too often to be extracted on demand`
      return { kind: 'absent', why }
    }
    return summary(await Promise.allSettled(missing.map((build) => this.#bring(build))))
  }

  async close(): Promise<void> {
    this.#stop.abort(new DOMException('the hub is stopping', 'AbortError'))
    this.#queue.clear()
    await this.#queue.onIdle()
    await this.#refreshing
    await this.#background.settle()
  }

  /** One package once, however many questions mean it. */
  #bring(listed: ListedBuild): Promise<Supply> {
    const underWay = this.#underWay.get(listed.key)
    if (underWay !== undefined) return underWay
    const bringing = this.#bringNew(listed).finally(() => this.#underWay.delete(listed.key))
    this.#underWay.set(listed.key, bringing)
    return bringing
  }

  async #bringNew(listed: ListedBuild): Promise<Supply> {
    const refusal = await this.#failedBefore(listed)
    if (refusal !== null) return refusal
    if (this.#queue.size >= this.#options.maxWaiting) {
      throw new SupplyError('BUSY', `${this.queued} packages are being extracted before this one`)
    }
    // A queue that is cleared forgets its tasks without a word.
    return Promise.race([this.#queue.add(() => this.#extract(listed)), this.#stopped])
  }

  /** What is known to fail is not tried for every asker; a mirror that was ill may be well again. */
  async #failedBefore({ key }: ListedBuild): Promise<Supply | null> {
    const failure = await this.#deps.catalog.failure(key)
    if (failure === null) return null
    const now = this.#deps.now()
    const told = `it is listed, but gave no BTF: ${failure.message}`
    if (isDue(failure, now)) return null
    if (failure.code !== 'ILL') return { kind: 'absent', why: told }
    if (now.getTime() < Date.parse(failure.lastTryAt) + ILL_AGAIN_MS) throw new SupplyError('ILL', told)
    return null
  }

  async #extract(listed: ListedBuild): Promise<Supply> {
    const http = this.#deps.openHttp()
    try {
      const deps = this.#crawlDeps(http)
      const { packages, indexes } = await this.#packagesOf(listed, deps)
      const pkg = packages.find((one) => packageKey(one) === listed.key)
      if (pkg === undefined) return notListed(listed, indexes)
      const planned = { pkg, state: 'new' as const, modules: false, failure: null, bytes: null }
      const plan = { startedMs: performance.now(), packages: [planned], indexes: [], gone: [] }
      const { builds } = await runCrawl(plan, this.#crawlOptions(), deps)
      const [outcome] = builds
      if (outcome === undefined) throw new SupplyError('ILL', 'this hub is stopping')
      if (outcome.outcome !== 'failed') return { kind: 'added' }
      const told = `it is listed, but gave no BTF: ${outcome.reason ?? outcome.code ?? ''}`
      if (outcome.code === 'ILL') throw new SupplyError('ILL', told)
      return { kind: 'absent', why: told }
    } finally {
      await http.close()
    }
  }

  /** What the source says now of one version and architecture: its URLs, sizes and digests are in no recorded listing. */
  #packagesOf({ source, kernel }: ListedBuild, deps: CrawlDeps): Promise<PartListing> {
    const part = [source, kernel.version, kernel.arch].join('/')
    const known = this.#parts.get(part)
    if (known !== undefined && performance.now() < known.at + LISTED_MS) return known.packages
    const packages = this.#listPart(source, kernel, deps)
    this.#parts.set(part, { at: performance.now(), packages })
    packages.then(
      ({ indexes }) => {
        if (indexes.some(({ outcome }) => outcome === 'failed')) this.#parts.delete(part)
      },
      () => this.#parts.delete(part),
    )
    return packages
  }

  async #listPart(source: string, kernel: Kernel, deps: CrawlDeps): Promise<PartListing> {
    const scope = { versions: [kernel.version], arches: [kernel.arch], mirrors: this.#options.mirrors }
    const sources = deps.sources.filter(({ id }) => id === source)
    const { listed, indexes } = await listSources(scope, { ...deps, sources })
    return { packages: listed, indexes }
  }

  #listed(): Promise<ReadonlyMap<string, ListedBuild[]>> {
    if (this.#recorded !== null && performance.now() < this.#recorded.at + RECORDED_MS) {
      return this.#recorded.byRelease
    }
    const byRelease = this.#readListed()
    this.#recorded = { at: performance.now(), byRelease }
    byRelease.catch(() => (this.#recorded = null))
    return byRelease
  }

  async #readListed(): Promise<ReadonlyMap<string, ListedBuild[]>> {
    const ours = new Set(this.#deps.sources.map(({ id }) => id))
    const byRelease = new Map<string, ListedBuild[]>()
    for (const { source, builds } of await recordedListings(this.#deps.catalog)) {
      if (!ours.has(source)) continue
      for (const [key] of builds) {
        const [, distro = '', version = '', arch = '', release = ''] = key.split('/')
        const build = { key, source, kernel: makeKernel(distro, version, arch, release) }
        byRelease.set(release, [...(byRelease.get(release) ?? []), build])
      }
    }
    return byRelease
  }

  async #keepFresh(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#refreshOld()
        await sleep(LOOK_EVERY_MS, undefined, { signal, ref: false })
      } catch (err) {
        if (signal.aborted || isAbort(err)) return
        this.#deps.log.warn({ err: describeError(err) }, 'listings could not be kept fresh')
        await sleep(LOOK_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined)
      }
    }
  }

  async #refreshOld(): Promise<void> {
    const oldest = new Map<string, string>()
    for (const { source, at } of await recordedListings(this.#deps.catalog)) {
      if (at < (oldest.get(source) ?? '~')) oldest.set(source, at)
    }
    const now = this.#deps.now()
    const limit = new Date(now.getTime() - this.#options.listEveryMs).toISOString()
    // A listing that is still to be made was noted by a clock that was wrong.
    const isOld = (at: string): boolean => at < limit || at > now.toISOString()
    const due = this.#deps.sources.filter(
      ({ id }) =>
        isOld(oldest.get(id) ?? '') &&
        performance.now() >= (this.#relistedAt.get(id) ?? -Infinity) + RELIST_MS,
    )
    for (const source of due) {
      this.#relistedAt.set(source.id, performance.now())
      const http = this.#deps.openHttp()
      try {
        const deps = { ...this.#crawlDeps(http), sources: [source] }
        await listSources({ versions: [], arches: [], mirrors: this.#options.mirrors }, deps)
      } finally {
        await http.close()
      }
    }
    if (due.length > 0) this.#recorded = null
  }

  #crawlDeps(http: HttpClient): CrawlDeps {
    const { sources, catalog, blobs, tempDir, log, now, cache } = this.#deps
    return {
      http,
      catalog,
      blobs,
      tempDir,
      tempSpace: this.#tempSpace,
      log,
      now,
      sources,
      context: { http, cache, log, signal: this.#stop.signal },
      progress: noProgress,
      onBuild: (build) => {
        this.#background.run('after a new build', this.#deps.onBuild(build))
        return Promise.resolve()
      },
    }
  }

  #crawlOptions(): CrawlOptions {
    return {
      scope: { versions: [], arches: [], mirrors: [] },
      arches: [],
      release: null,
      newest: null,
      limit: null,
      jobs: 1,
      paholeJobs: this.#options.paholeJobs,
      forceDwarf: false,
      verify: true,
      retryFailed: true,
    }
  }
}

interface PartListing {
  readonly packages: readonly KernelPackage[]
  readonly indexes: readonly IndexReport[]
}

function mayMean(facts: KernelFacts, kernel: Kernel): boolean {
  return (
    (facts.arch === null || facts.arch === kernel.arch) &&
    (facts.distro === null || facts.distro === kernel.distro) &&
    (facts.version === null || parseVersion(kernel.distro, facts.version) === kernel.version)
  )
}

/** A listing that was read in part says nothing about what is not in it. */
function notListed({ kernel }: ListedBuild, indexes: readonly IndexReport[]): Supply {
  const failed = indexes.find(({ outcome }) => outcome === 'failed')
  if (failed !== undefined)
    throw new SupplyError('ILL', `${failed.index}: ${failed.reason ?? 'could not be read'}`)
  return { kind: 'absent', why: `${kernel.distro} ${kernel.version} offers it no longer` }
}

/** Added where anything was; "could not know" goes before "not there". Throws what one of them threw. */
function summary(outcomes: readonly PromiseSettledResult<Supply>[]): Supply {
  const supplies = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  if (supplies.some(({ kind }) => kind === 'added')) return { kind: 'added' }
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  const whys = supplies.flatMap((supply) =>
    supply.kind === 'absent' && supply.why !== null ? [supply.why] : [],
  )
  return { kind: 'absent', why: whys.length === 0 ? null : [...new Set(whys)].join('; ') }
}
