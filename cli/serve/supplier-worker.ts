/** The thread of a {@link SupplierThread}: an on-demand supplier with a store of its own. */
import { parentPort, workerData } from 'node:worker_threads'
import { describeError } from '../../core/errors.ts'
import { createLog } from '../../core/log.ts'
import { hostPolicies } from '../../crawler/index.ts'
import { SupplyError } from '../../registry/index.ts'
import { openStore } from '../../store/index.ts'
import { cliHttp } from '../http.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { OnDemand } from '../hub/on-demand.ts'
import { indexCache, openSources } from '../hub/sources.ts'
import type { OnDemandSetup, SupplierQuestion, SupplierReply } from './supplier-thread.ts'

const { dataDir, sources: names, mirrors, logLevel, paholeJobs } = workerData as OnDemandSetup
const log = createLog(logLevel)
const store = await openStore(dataDir)
const { sources, files } = await openSources(names, store.tempDir)
const minMaker = createMinMaker(store, log)
const onDemand = new OnDemand(
  {
    sources,
    catalog: store.catalog,
    blobs: store.blobs,
    tempDir: store.tempDir,
    cache: indexCache(store.catalog),
    openHttp: () => cliHttp(process.env, log, hostPolicies(files)),
    log,
    now: () => new Date(),
    onBuild: (build) => minMaker.forBuild(build),
  },
  { mirrors, paholeJobs },
)
onDemand.start()

parentPort?.on('message', (question: SupplierQuestion) => {
  if (question.kind === 'close') void close()
  else void supply(question.id, question.facts)
})

async function supply(id: number, facts: Parameters<OnDemand['supply']>[0]): Promise<void> {
  const result = await onDemand.supply(facts).then(
    (said): SupplierReply['result'] => ({ supply: said }),
    (err: unknown): SupplierReply['result'] => {
      if (err instanceof SupplyError) return { code: err.code, message: err.message }
      log.error({ err: describeError(err) }, 'a kernel could not be extracted on demand')
      return { code: null, message: describeError(err) }
    },
  )
  parentPort?.postMessage({ id, queued: onDemand.queued, result } satisfies SupplierReply)
}

async function close(): Promise<void> {
  await onDemand.close()
  await store.close()
  process.exit()
}
