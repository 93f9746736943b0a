import PQueue from 'p-queue'
import { formatKernel } from '../../core/kernel.ts'
import type { IndexReport, PackageTrust } from '../../crawler/index.ts'
import { type BuildOutcome, crawlOne } from './crawl-one.ts'
import { contextOf, type CrawlDeps, type CrawlOptions } from './crawl-options.ts'
import type { CrawlPlan, PlannedPackage } from './plan-crawl.ts'
import { createProbes } from './probes.ts'

/** How a crawl ended. */
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
      const outcome = await crawlOne(planned, { ...options, trust }, probes, deps)
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
