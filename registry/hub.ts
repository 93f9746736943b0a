import type { Log } from '../core/log.ts'
import type { BlobStore, Catalog, Derived } from '../store/index.ts'
import { createDerived } from '../store/index.ts'
import { Bodies } from './bodies.ts'
import { HotAnswers } from './hot-answers.ts'
import { Metrics } from './metrics.ts'
import { MinBtfs } from './min-btfs.ts'
import { Sender } from './sender.ts'
import { Snapshots } from './snapshots.ts'
import { TarCatalog } from './tar-catalog.ts'

/** What a registry is made of. */
export interface RegistryDeps {
  readonly catalog: Catalog
  readonly blobs: BlobStore
  readonly log: Log
  /** How clients reach this hub, `https://btf.example`; what requests say where it is not given. */
  readonly publicUrl?: string
}

/** A registry's parts, built once and shared by its routes. */
export interface Hub extends RegistryDeps {
  readonly derived: Derived
  readonly snapshots: Snapshots
  readonly minBtfs: MinBtfs
  readonly hot: HotAnswers
  readonly sender: Sender
  readonly metrics: Metrics
  readonly tarCatalog: TarCatalog
  /** True once it is about to stop: it answers, but wants no new work. */
  draining: boolean
}

/** Whole answers of hot URLs; bodies in it are those that `Bodies` holds, mostly. */
const MAX_HOT_BYTES = 64 * 1024 * 1024

export function createHub(deps: RegistryDeps): Hub {
  const derived = createDerived(deps)
  const hot = new HotAnswers(MAX_HOT_BYTES)
  const parts = {
    ...deps,
    derived,
    hot,
    snapshots: new Snapshots(deps.catalog, deps.log),
    minBtfs: new MinBtfs(deps),
    sender: new Sender({ derived, hot, bodies: new Bodies(), log: deps.log }),
    metrics: new Metrics(),
    draining: false,
  }
  return Object.assign(parts, { tarCatalog: new TarCatalog(parts) })
}
