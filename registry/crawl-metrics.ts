import type { SourceCrawl } from '../store/index.ts'
import type { Family } from './metrics.ts'

type Samples = Family['samples']

/** How the last crawl of each source went, as gauges. */
export function crawlFamilies(crawls: readonly SourceCrawl[]): Family[] {
  const each = (of: (crawl: SourceCrawl) => number): Samples =>
    crawls.map((crawl) => [{ source: crawl.source }, of(crawl)] as const)
  const byOutcome = (of: (crawl: SourceCrawl) => Readonly<Record<string, number>>): Samples =>
    crawls.flatMap((crawl) =>
      Object.entries(of(crawl)).map(
        ([outcome, count]) => [{ source: crawl.source, outcome }, count] as const,
      ),
    )
  const seconds = (time: string): number => Date.parse(time) / 1000
  const gauge = (name: string, help: string, samples: Samples): Family => ({
    name: `btfhub_last_crawl_${name}`,
    type: 'gauge',
    help,
    samples,
  })
  return [
    gauge(
      'started_timestamp_seconds',
      'When the last crawl of a source began.',
      each(({ startedAt }) => seconds(startedAt)),
    ),
    gauge(
      'ended_timestamp_seconds',
      'When it ended.',
      each(({ endedAt }) => seconds(endedAt)),
    ),
    gauge(
      'interrupted',
      '1 where it was told to stop before it was through.',
      each(({ interrupted }) => Number(interrupted)),
    ),
    gauge(
      'builds',
      'Builds by what it made of them: here already, taken in (embedded, dwarf), failed, waiting for another try, without eBPF, gone upstream.',
      byOutcome(({ known, embedded, dwarf, failed, waiting, withoutEbpf, gone }) => ({
        known,
        embedded,
        dwarf,
        failed,
        waiting,
        without_ebpf: withoutEbpf,
        gone,
      })),
    ),
    gauge(
      'indexes',
      'Indexes by what became of them.',
      byOutcome(({ indexes }) => indexes),
    ),
    gauge(
      'requests',
      'HTTP requests that it made.',
      each(({ requests }) => requests),
    ),
    gauge(
      'bytes',
      'Bytes of bodies that it read.',
      each(({ bytes }) => bytes),
    ),
  ]
}
