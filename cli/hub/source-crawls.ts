import type { Traffic } from '../../core/http-meter.ts'
import type { SourceCrawl } from '../../store/index.ts'
import type { CrawlReport } from './crawl.ts'
import type { CrawlPlan } from './plan-crawl.ts'

/** What a crawl did for each of these sources, to be kept and served. */
export function sourceCrawls(
  sources: readonly string[],
  plan: CrawlPlan,
  report: CrawlReport,
  wire: {
    readonly startedAt: string
    readonly endedAt: string
    traffic(source: string): Traffic
  },
): SourceCrawl[] {
  const { startedAt, endedAt } = wire
  return sources.map((source) => {
    const planned = plan.packages.filter(({ pkg }) => pkg.source === source)
    const stateIs = (state: string): number => planned.filter((one) => one.state === state).length
    const builds = report.builds.filter((build) => build.source === source)
    const endedAs = (outcome: string): number => builds.filter((build) => build.outcome === outcome).length
    // The label of an index begins with the distribution, whose name a source has.
    const indexes = plan.indexes.filter(({ index }) => index.startsWith(`${source}/`))
    const cameAs = (outcome: string): number => indexes.filter((index) => index.outcome === outcome).length
    return {
      source,
      startedAt,
      endedAt,
      interrupted: report.interrupted,
      known: stateIs('known'),
      embedded: endedAs('embedded'),
      dwarf: endedAs('dwarf'),
      failed: endedAs('failed'),
      waiting: stateIs('waiting'),
      withoutEbpf: stateIs('no eBPF'),
      gone: plan.gone.filter(({ provenance }) => provenance.source === source).length,
      indexes: {
        new: cameAs('new'),
        unchanged: cameAs('unchanged'),
        absent: cameAs('absent'),
        failed: cameAs('failed'),
      },
      ...wire.traffic(source),
    }
  })
}
