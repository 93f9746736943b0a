/** Values of one label set, by the values of its labels in the order of {@link Counter.labels}. */
interface Counter {
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly values: Map<string, { readonly of: readonly string[]; count: number }>
}

/**
 * What a registry has done since it started, as plain counters: counting is one look into a map, and one addition for a
 * hot answer. `middleware/count` counts requests, `find` counts resolves, `server` counts hot answers.
 */
export class Metrics {
  /** Requests that were answered from memory before any routing; they are in no other counter but the bytes. */
  hotHits = 0
  /** Bytes of bodies that answers announced; who hangs up early takes fewer. */
  bodyBytes = 0
  /** Requests that were refused because their client asked too much. */
  rateLimited = 0
  readonly requests = counter('btfhub_requests_total', 'Requests that were routed, by route and status.', [
    'route',
    'status',
  ])
  readonly resolves = counter(
    'btfhub_resolves_total',
    'Kernels that were looked for, by what found them or why none was given; hot answers are not among them.',
    ['outcome'],
  )

  readonly supplies = counter(
    'btfhub_supplies_total',
    'Kernels that were not here and that suppliers were asked for, by supplier and what came of it.',
    ['supplier', 'outcome'],
  )

  /** Counts one. The number of label sets must be bounded by who calls: no label may be what a client says. */
  count(what: Counter, ...labels: readonly string[]): void {
    const key = labels.join('\n')
    const known = what.values.get(key)
    if (known === undefined) what.values.set(key, { of: labels, count: 1 })
    else known.count++
  }
}

/** One metric at one moment. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly samples: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[]
}

/** What was counted, ready for {@link formatMetrics}. */
export function countedFamilies(metrics: Metrics): Family[] {
  const families = [metrics.requests, metrics.resolves, metrics.supplies].map((what): Family => {
    const samples = [...what.values.values()].map(
      ({ of, count }) =>
        [Object.fromEntries(what.labels.map((label, i) => [label, of[i] ?? ''])), count] as const,
    )
    return { name: what.name, help: what.help, type: 'counter', samples }
  })
  return [
    ...families,
    single(
      'btfhub_hot_answers_total',
      'counter',
      'Requests answered from memory, unrouted.',
      metrics.hotHits,
    ),
    single(
      'btfhub_rate_limited_total',
      'counter',
      'Requests refused because their client asked too much.',
      metrics.rateLimited,
    ),
    single(
      'btfhub_body_bytes_total',
      'counter',
      'Bytes of bodies that answers announced.',
      metrics.bodyBytes,
    ),
  ]
}

/** A metric without labels. */
export function single(name: string, type: Family['type'], help: string, value: number): Family {
  return { name, type, help, samples: [[{}, value]] }
}

/** Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). */
export function formatMetrics(families: readonly Family[]): string {
  return families
    .map(({ name, help, type, samples }) => {
      const lines = samples.map(([labels, value]) => `${name}${formatLabels(labels)} ${value}\n`)
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
    })
    .join('')
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function counter(name: string, help: string, labels: readonly string[]): Counter {
  return { name, help, labels, values: new Map() }
}
