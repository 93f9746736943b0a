import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { SeenVersions } from '../../client/index.ts'
import type { Log, LogLevel } from '../../core/log.ts'
import type { Supplier } from '../../registry/index.ts'
import type { Build, Store } from '../../store/index.ts'
import { politeHosts } from '../../core/hosts.ts'
import { parsePublicKey } from '../../core/signed-index/index.ts'
import { limits } from '../../core/limits.ts'
import { cliHttp } from '../http.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { openSources } from '../hub/sources.ts'
import type { UpstreamDeps } from '../upstream/deps.ts'
import { proxyHosts } from '../upstream/guard.ts'
import { Upstream } from '../upstream/upstream.ts'
import type { Effective } from './settings.ts'
import { SupplierThread } from './supplier-thread.ts'

export interface SupplierParts {
  readonly store: Store
  readonly log: Log
  readonly logLevel: LogLevel
  readonly env: NodeJS.ProcessEnv
  /** What this hub calls itself in `Via`. */
  readonly via: string
}

/** Where what a hub lacks may be had: other hubs first, since extracting costs more. Throws UsageError, IndexError `BAD_KEY`. */
export async function openSuppliers(values: Effective, parts: SupplierParts): Promise<readonly Supplier[]> {
  const minMaker = createMinMaker(parts.store, parts.log)
  const onBuild = (build: Build): Promise<void> => minMaker.forBuild(build)
  const keys = values['upstream-key'].map(parsePublicKey)
  const trust = keys.length === 0 ? null : { keys, seen: new SeenVersions(join(values.data, 'seen-v1')) }
  const upstreams = values.upstream.map((url) => openUpstream(url, trust, onBuild, parts))
  return [...upstreams, ...(await openOnDemand(values, parts))]
}

function openUpstream(
  url: string,
  trust: UpstreamDeps['trust'],
  onBuild: (build: Build) => Promise<void>,
  { store, log, env, via }: SupplierParts,
): Supplier {
  const { connectTimeoutMs, idleTimeoutMs } = limits.upstream
  const bounds = { connectTimeoutMs, idleTimeoutMs, tries: 2, maxRetryAfterMs: idleTimeoutMs }
  return new Upstream(url, {
    store,
    openHttp: (guard) => cliHttp(env, log, politeHosts, { guard, bounds }),
    proxies: proxyHosts(env),
    log,
    now: () => new Date(),
    onBuild,
    trust,
    via,
  })
}

async function openOnDemand(
  values: Effective,
  { store, log, logLevel, env }: SupplierParts,
): Promise<readonly Supplier[]> {
  const said = values['on-demand']
  if (said === false) return []
  const sources = said === true ? [] : said
  // The thread opens its own: here it is seen whether they are there.
  await openSources(sources, store.tempDir)
  const setup = {
    dataDir: values.data,
    sources,
    mirrors: values.mirror,
    logLevel,
    paholeJobs: availableParallelism(),
  }
  return [new SupplierThread(setup, { env, log })]
}
