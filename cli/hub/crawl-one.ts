import { formatKernel } from '../../core/kernel.ts'
import { describeError, isAbort } from '../../core/errors.ts'
import { type KernelPackage, modulesKey, packageKey } from '../../core/kernel-package.ts'
import type { PackageTrust } from '../../crawler/index.ts'
import { StoreError } from '../../store/index.ts'
import { formatBytes, formatSeconds } from '../terminal.ts'
import { contextOf, type CrawlDeps, type CrawlOptions } from './crawl-options.ts'
import { ingest } from './ingest.ts'
import type { PlannedPackage } from './plan-crawl.ts'
import type { Probes } from './probes.ts'

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

/** One build to its end; a failure is recorded with its reason. Null where the run was interrupted in it. */
export async function crawlOne(
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
