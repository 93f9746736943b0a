import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type Arch, ARCHES, parseArch } from '../../core/kernel.ts'
import type { HttpClient } from '../../core/http-client.ts'
import { Meter, type Traffic } from '../../core/http-meter.ts'
import { createLog } from '../../core/log.ts'
import { writeFileAtomic } from '../../core/temp-file.ts'
import { hostPolicies } from '../../crawler/index.ts'
import { TempSpace } from '../../extractor/index.ts'
import { recordCrawls, withLock } from '../../store/index.ts'
import { Exit, ExitCode, UsageError } from '../exit.ts'
import { type ClientCertificateFiles, clientIdentities } from '../client-certificate.ts'
import { cliHttp } from '../http.ts'
import { runCrawl } from '../hub/crawl.ts'
import { type CrawlDeps, type CrawlOptions } from '../hub/crawl-options.ts'
import { planCrawl } from '../hub/plan-crawl.ts'
import { describePlan, describeReport, planFacts } from '../hub/crawl-report.ts'
import { withStore } from '../hub/open.ts'
import { repeat } from '../hub/schedule.ts'
import { sourceCrawls } from '../hub/source-crawls.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { indexCache, openSources } from '../hub/sources.ts'
import type { Invocation } from '../main.ts'
import { createProgress } from '../terminal.ts'

export interface CrawlCommandOptions extends ClientCertificateFiles {
  readonly data: string
  readonly json: boolean
  readonly plan: boolean
  readonly version?: readonly string[]
  readonly arch?: readonly string[]
  readonly release?: RegExp
  readonly newest?: number
  readonly limit?: number
  readonly since?: Date
  /** Milliseconds from the start of one run to that of the next. */
  readonly every?: number
  readonly jobs?: number
  readonly mirror?: readonly string[]
  readonly keyring?: readonly string[]
  readonly forceDwarf: boolean
  readonly unverified: boolean
  readonly modules: boolean
  readonly retryFailed: boolean
}

/**
 * `btfhub crawl [SOURCE…]`: once, or with `--every` until it is stopped, each time with what the sources say by then.
 */
export async function crawl(
  sourceIds: readonly string[],
  command: CrawlCommandOptions,
  invocation: Invocation,
): Promise<void> {
  if (command.every === undefined) return crawlOnce(sourceIds, command, invocation)
  const { signal, logLevel } = invocation
  const log = createLog(logLevel)
  await repeat(command.every, () => crawlOnce(sourceIds, command, invocation), {
    signal,
    log,
    random: Math.random,
  })
}

/**
 * One crawl: plan, then act, then report. Exit code 1 where a package failed, 75 where an index could
 * not be read, 130 where it was interrupted; what was done by then stays done.
 */
async function crawlOnce(
  sourceIds: readonly string[],
  command: CrawlCommandOptions,
  invocation: Invocation,
): Promise<void> {
  const { terminal, signal } = invocation
  const options = toOptions(command)
  await withStore({ data: command.data }, invocation, async (store, log) => {
    const { catalog } = store
    const { files, sources } = await openSources(sourceIds, store.tempDir, command.keyring)
    const named = files.filter((file) => sources.some(({ id }) => id === file.id))
    const identities = await clientIdentities(named, command.mirror ?? [], command)
    const http = cliHttp(invocation.env, log, hostPolicies(files), { files: true, identities })
    const progress = createProgress(terminal)
    const minMaker = createMinMaker(store, log)
    const cache = indexCache(catalog)
    const meters = new Map<string, Meter>()
    const meterOf = (source: string): Meter => {
      const meter = meters.get(source) ?? new Meter()
      meters.set(source, meter)
      return meter
    }
    const traffic = (source: string): Traffic => meterOf(source).total()
    const deps: CrawlDeps = {
      http,
      catalog,
      blobs: store.blobs,
      tempDir: store.tempDir,
      tempSpace: new TempSpace(store.tempDir),
      log,
      now: () => new Date(),
      sources,
      context: { http, cache, log, signal },
      httpFor: (source) => http.metered(meterOf(source)),
      progress,
      onBuild: (build) => minMaker.forBuild(build),
    }
    try {
      if (command.plan) {
        const plan = await planCrawl(options, deps)
        terminal.out(command.json ? JSON.stringify(planFacts(plan), null, 2) : describePlan(plan))
        return
      }
      const startedAt = new Date().toISOString()
      // Two crawls of one hub would download the same packages twice.
      const { report, bySource } = await withLock(command.data, 'crawl', async () => {
        const plan = await planCrawl(options, deps)
        const report = await runCrawl(plan, options, deps)
        const endedAt = new Date().toISOString()
        const ids = sources.map(({ id }) => id)
        const bySource = sourceCrawls(ids, plan, report, { startedAt, endedAt, traffic })
        await recordCrawls(bySource, catalog)
        return { report, bySource }
      })
      progress.close()
      const wire = wireOf(http)
      const told = { startedAt, endedAt: new Date().toISOString(), bySource, ...report, ...wire }
      await writeFileAtomic(join(command.data, 'last-crawl.json'), `${JSON.stringify(told, null, 2)}\n`)
      if (command.json) terminal.out(JSON.stringify({ bySource, ...report, ...wire }, null, 2))
      else terminal.err(describeReport(report, wire))
      if (report.interrupted) throw new Exit(ExitCode.interrupted)
      if (report.failed > 0) throw new Exit(ExitCode.failed)
      if (report.indexes.some((index) => index.outcome === 'failed')) throw new Exit(ExitCode.tryLater)
    } finally {
      progress.close()
      await http.close()
    }
  })
}

function wireOf(http: HttpClient): { requests: number; bytes: number } {
  const { requests, bytes } = http.stats()
  return { requests, bytes }
}

function toOptions(command: CrawlCommandOptions): CrawlOptions {
  const arches = (command.arch ?? []).map((text): Arch => {
    const arch = parseArch(text)
    if (arch === null) throw new UsageError(`--arch ${text}: expected one of ${ARCHES.join(', ')}`)
    return arch
  })
  return {
    scope: {
      versions: command.version ?? [],
      arches,
      mirrors: command.mirror ?? [],
      again: command.retryFailed,
    },
    arches,
    release: command.release ?? null,
    newest: command.newest ?? null,
    ...(command.since !== undefined && { since: command.since }),
    limit: command.limit ?? null,
    // While one package is decompressed on one core, another can come over the wire.
    jobs: command.jobs ?? 2,
    paholeJobs: availableParallelism(),
    forceDwarf: command.forceDwarf,
    verify: !command.unverified,
    modules: command.modules,
    retryFailed: command.retryFailed,
  }
}
