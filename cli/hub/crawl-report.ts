import { formatKernel } from '../../core/kernel.ts'
import { formatBytes, formatSeconds, formatTable } from '../terminal.ts'
import type { CrawlReport } from './crawl.ts'
import type { CrawlPlan } from './plan-crawl.ts'

/** A plan as plain data, for `--json`. */
export function planFacts(plan: CrawlPlan): object {
  return {
    indexes: plan.indexes,
    gone: plan.gone.map((build) => formatKernel(build.kernel)),
    packages: plan.packages.map(({ pkg, state, failure, bytes }) => ({
      kernel: formatKernel(pkg.kernel),
      packageName: pkg.packageName,
      packageVersion: pkg.packageVersion,
      state,
      bytes,
      failure:
        failure === null ? null : { code: failure.code, tries: failure.tries, nextTryAt: failure.nextTryAt },
    })),
  }
}

/** What a crawl would do and what it would cost at most. */
export function describePlan(plan: CrawlPlan): string {
  const fresh = plan.packages.filter(({ state }) => state === 'new')
  const known = plan.packages.filter(({ state }) => state === 'known').length
  const useless = plan.packages.filter(({ state }) => state === 'no eBPF').length
  const waiting = plan.packages.filter(({ state }) => state === 'waiting').length
  const bytes = fresh.reduce((sum, planned) => sum + (planned.bytes ?? 0), 0)
  const table = formatTable(
    ['KERNEL', 'PACKAGE VERSION', 'STATE', 'TO READ'],
    plan.packages.map(({ pkg, state, bytes: size, failure }) => [
      formatKernel(pkg.kernel),
      pkg.packageVersion,
      failure === null ? state : `${state} (failed ${failure.tries}x: ${failure.code})`,
      state === 'new' ? (size === null ? '?' : formatBytes(size)) : '-',
    ]),
  )
  const summary = `${fresh.length} new (${formatBytes(bytes)} to read), ${known} known, ${waiting} waiting for another try, ${useless} without eBPF, ${plan.gone.length} gone`
  return [...(plan.packages.length > 0 ? [table, ''] : []), ...describeIndexes(plan.indexes), summary].join(
    '\n',
  )
}

/** What a crawl did, for people. */
export function describeReport(
  report: CrawlReport,
  wire: { readonly requests: number; readonly bytes: number },
): string {
  const count = (outcome: string): number => report.builds.filter((build) => build.outcome === outcome).length
  const failures = report.builds.filter((build) => build.outcome === 'failed')
  const withModules = report.builds.filter(({ modules }) => modules !== null).length
  return [
    ...describeIndexes(report.indexes),
    ...failures.map(
      (build) => `failed: ${build.kernel} ${build.packageVersion}: ${build.code}: ${build.reason}`,
    ),
    `${count('embedded')} embedded, ${count('dwarf')} from DWARF${withModules === 0 ? '' : ` (${withModules} with modules)`}, ${failures.length} failed, ` +
      `${report.known} known already, ${report.waiting} waiting for another try, ${report.withoutEbpf} without eBPF, ${report.gone.length} gone; ` +
      `${wire.requests} requests, ${formatBytes(wire.bytes)}, ${formatSeconds(report.elapsedMs)}` +
      (report.interrupted ? '; INTERRUPTED' : ''),
  ].join('\n')
}

function describeIndexes(indexes: CrawlReport['indexes']): string[] {
  const sum = (outcome: string): number => indexes.filter((index) => index.outcome === outcome).length
  return [
    ...describeFailed(indexes.filter((index) => index.outcome === 'failed')),
    ...indexes
      .filter((index) => index.outcome !== 'failed' && index.outcome !== 'absent' && !index.signed)
      .map((index) => `index without a verified signature: ${index.index}`),
    `indexes: ${sum('new')} new, ${sum('unchanged')} unchanged, ${sum('absent')} not offered${describeRest(indexes)}, ${sum('failed')} failed`,
  ]
}

/** Those that no mirror had not long ago are given a rest. */
function describeRest(indexes: CrawlReport['indexes']): string {
  const resting = indexes.filter(({ notBefore }) => notBefore !== undefined).length
  return resting === 0 ? '' : ` (${resting} of them not asked for again yet: --retry-failed does)`
}

/** Where a host is down all its indexes fail: of a distribution's version the first few say enough. */
const FAILED_SHOWN = 2

function describeFailed(failed: CrawlReport['indexes']): string[] {
  const byVersion = new Map<string, (typeof failed)[number][]>()
  for (const index of failed) {
    const [version = index.index] = index.index.split(' ')
    const others = byVersion.get(version)
    if (others === undefined) byVersion.set(version, [index])
    else others.push(index)
  }
  return [...byVersion].flatMap(([version, indexes]) => [
    ...indexes
      .slice(0, FAILED_SHOWN)
      .map((index) => `index FAILED: ${index.index}: ${index.reason ?? 'no reason is known'}`),
    ...(indexes.length > FAILED_SHOWN
      ? [`index FAILED: ${indexes.length - FAILED_SHOWN} more of ${version} (--json shows all)`]
      : []),
  ])
}
