import { availableParallelism } from 'node:os'
import type { Log } from '../../core/log.ts'
import { hostPolicies } from '../../crawler/index.ts'
import type { Supplier } from '../../registry/index.ts'
import type { Store } from '../../store/index.ts'
import { cliHttp } from '../http.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { OnDemand } from '../hub/on-demand.ts'
import { indexCache, openSources } from '../hub/sources.ts'
import type { Effective } from './settings.ts'

/** Where what a hub lacks may be had: other hubs first, since extracting costs more. Throws UsageError. */
export async function openSuppliers(
  values: Effective,
  parts: { readonly store: Store; readonly log: Log; readonly env: NodeJS.ProcessEnv },
): Promise<readonly Supplier[]> {
  const sources = values['on-demand']
  if (sources === false) return []
  const { store, log, env } = parts
  const opened = await openSources(sources === true ? [] : sources, store.tempDir)
  const minMaker = createMinMaker(store, log)
  const onDemand = new OnDemand(
    {
      sources: opened.sources,
      catalog: store.catalog,
      blobs: store.blobs,
      tempDir: store.tempDir,
      cache: indexCache(store.catalog),
      openHttp: () => cliHttp(env, log, hostPolicies(opened.files)),
      log,
      now: () => new Date(),
      onBuild: (build) => minMaker.forBuild(build),
    },
    { mirrors: values.mirror, paholeJobs: availableParallelism() },
  )
  onDemand.start()
  return [onDemand]
}
