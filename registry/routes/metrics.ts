import { type Context, Hono } from 'hono'
import { CatalogMetrics } from '../catalog-metrics.ts'
import type { Hub } from '../hub.ts'
import { countedFamilies, type Family, formatMetrics, single } from '../metrics.ts'
import type { Env } from '../sender.ts'

/** `/metrics` for Prometheus; `/monitoring/metrics` is where btfhub-online had it. */
export function metricsRoutes(hub: Hub): Hono<Env> {
  const catalog = new CatalogMetrics(hub)
  const answer = async (c: Context<Env>): Promise<Response> => {
    const families = [...countedFamilies(hub.metrics), ...workFamilies(hub), ...(await catalog.families())]
    const text = formatMetrics(families)
    return c.body(text, 200, {
      'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
      'Content-Length': String(Buffer.byteLength(text)),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    })
  }
  return new Hono<Env>().get('/metrics', answer).get('/monitoring/metrics', answer)
}

function workFamilies(hub: Hub): Family[] {
  const cpu = process.cpuUsage()
  return [
    single(
      'btfhub_min_btf_made_total',
      'counter',
      'Min BTF cut since the start.',
      hub.minBtfs.made + hub.objectMins.made,
    ),
    single('btfhub_min_btf_waiting', 'gauge', 'Min BTF that wait to be cut.', hub.minBtfs.waiting),
    single('btfhub_types_waiting', 'gauge', 'Requests for types that wait.', hub.types.waiting),
    {
      name: 'btfhub_supply_queue',
      type: 'gauge',
      help: 'Kernels that a supplier has still to bring, those under way included.',
      samples: hub.justInTime.queues.map(({ name, queued }) => [{ supplier: name }, queued] as const),
    },
    single('process_resident_memory_bytes', 'gauge', 'Memory of this process.', process.memoryUsage.rss()),
    single(
      'process_cpu_seconds_total',
      'counter',
      'CPU time of this process.',
      (cpu.user + cpu.system) / 1e6,
    ),
    single(
      'process_start_time_seconds',
      'gauge',
      'When this process started.',
      performance.timeOrigin / 1000,
    ),
  ]
}
