import type { Log } from '../core/log.ts'
import type { BlobStore, Catalog, Derived } from '../store/index.ts'
import { createDerived } from '../store/index.ts'
import { Bodies } from './bodies.ts'
import type { CheckAnswer } from './api.ts'
import { defaultJustInTime, JustInTime, type JustInTimeOptions } from './just-in-time.ts'
import { HotAnswers } from './hot-answers.ts'
import { Metrics } from './metrics.ts'
import type { AccessLog } from './access-log.ts'
import { type LongJobOptions, LongJobs } from './long-jobs.ts'
import type { Bundle } from './make-bundle.ts'
import { KernelTypes } from './kernel-types.ts'
import { MinBtfs } from './min-btfs.ts'
import { ObjectMins } from './object-mins.ts'
import { noRateLimits, RateLimiter, type RateLimits } from './rate-limit.ts'
import { Sender } from './sender.ts'
import type { PublishedIndex } from './signed-index/published.ts'
import { Snapshots } from './snapshots.ts'
import type { Supplier } from './supplier.ts'
import { TarCatalog } from './tar-catalog.ts'
import { type MakeMinBtfs, ToolWork } from './tool-work.ts'

/** What a registry is made of. */
export interface RegistryDeps {
  readonly catalog: Catalog
  readonly blobs: BlobStore
  readonly log: Log
  /** How clients reach this hub, `https://btf.example`; what requests say where it is not given. */
  readonly publicUrl?: string
  /** Where what is not here may be had, in the order to ask. */
  readonly suppliers?: readonly Supplier[]
  readonly justInTime?: Partial<JustInTimeOptions>
  /** What this hub calls itself in the `Via` of requests to others, so that two hubs do not ask each other in a circle. */
  readonly via?: string
  readonly longJobs?: Partial<LongJobOptions>
  /** How long a question about a type over all kernels waits for an answer that is whole. */
  readonly typeWaitMs?: number
  /** How much one client may ask; everything by default. */
  readonly rates?: RateLimits
  /** Makes min BTF of new tools in the background; without it they are made when they are asked for. */
  readonly makeMinBtfs?: MakeMinBtfs
  /** What this hub signs; nothing by default. */
  readonly index?: PublishedIndex
  /** Told of each request; nobody by default. */
  readonly access?: AccessLog
}

/** A registry's parts, built once and shared by its routes. */
export interface Hub extends Omit<RegistryDeps, 'suppliers' | 'justInTime' | 'rates' | 'longJobs'> {
  readonly derived: Derived
  readonly snapshots: Snapshots
  readonly minBtfs: MinBtfs
  readonly objectMins: ObjectMins
  /** Answers over all kernels. */
  readonly checks: LongJobs<{ readonly answer: CheckAnswer; readonly sizeBytes: number }>
  readonly bundles: LongJobs<Bundle>
  readonly hot: HotAnswers
  readonly sender: Sender
  readonly metrics: Metrics
  readonly tarCatalog: TarCatalog
  readonly justInTime: JustInTime
  readonly limiter: RateLimiter
  readonly types: KernelTypes
  readonly toolWork: ToolWork
  /** True once it is about to stop: it answers, but wants no new work. */
  draining: boolean
}

/** Whole answers of hot URLs; bodies in it are those that `Bodies` holds, mostly. */
const MAX_HOT_BYTES = 64 * 1024 * 1024

export function createHub(deps: RegistryDeps): Hub {
  const { suppliers = [], justInTime, rates = noRateLimits, longJobs, ...rest } = deps
  const derived = createDerived(deps)
  const hot = new HotAnswers(MAX_HOT_BYTES)
  const metrics = new Metrics()
  const snapshots = new Snapshots(deps.catalog, deps.log)
  const parts = {
    ...rest,
    derived,
    hot,
    snapshots,
    minBtfs: new MinBtfs(deps),
    objectMins: new ObjectMins(deps),
    checks: new LongJobs<{ readonly answer: CheckAnswer; readonly sizeBytes: number }>(longJobs),
    bundles: new LongJobs<Bundle>(longJobs),
    sender: new Sender({ derived, hot, bodies: new Bodies(), log: deps.log }),
    metrics,
    toolWork: new ToolWork({ ...deps, snapshots }),
    limiter: new RateLimiter(rates),
    types: new KernelTypes(deps),
    justInTime: new JustInTime({
      suppliers,
      options: { ...defaultJustInTime, ...justInTime },
      metrics,
      log: deps.log,
    }),
    draining: false,
  }
  return Object.assign(parts, { tarCatalog: new TarCatalog(parts) })
}
