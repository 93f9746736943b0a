import { describeError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import type { Catalog } from '../store/types.ts'
import { KernelIndex } from './kernel-index.ts'
import { ToolIndex } from './tool-index.ts'

/** A catalog at one moment, in memory. */
export interface Snapshot {
  /** Another one has another id: what was made from this one is stale then. */
  readonly id: number
  readonly generation: number
  readonly kernels: KernelIndex
  readonly tools: ToolIndex
}

/** A reload that took T is not followed by the next within this many times T: loading never takes the machine. */
const RESTS_PER_LOAD = 10

/**
 * The newest snapshot of a catalog that others may be writing to. The old one serves while a new one is made, of which
 * there is one at a time; only the first has to be waited for.
 */
export class Snapshots {
  readonly #catalog: Catalog
  readonly #log: Log
  #current: Snapshot | null = null
  #underWay: Promise<Snapshot> | null = null
  #notBefore = 0
  #timer: NodeJS.Timeout | null = null

  constructor(catalog: Catalog, log: Log) {
    this.#catalog = catalog
    this.#log = log
  }

  /** What is known now; null before the first load. */
  get current(): Snapshot | null {
    return this.#current
  }

  /** What is known now, loaded where nothing is. Throws what the catalog throws, only at the first load. */
  async get(): Promise<Snapshot> {
    return this.#current ?? this.refresh()
  }

  /** Looks whether the catalog has changed and loads it if so, though not too often; many callers cost one look. */
  refresh(): Promise<Snapshot> {
    this.#underWay ??= this.#look().finally(() => {
      this.#underWay = null
    })
    return this.#underWay
  }

  /** Looks every so often until {@link stop}. A look that fails is logged; what is known stays. */
  start(everyMs: number): void {
    this.#timer ??= setInterval(() => {
      this.refresh().catch((err: unknown) => {
        this.#log.warn({ err: describeError(err) }, 'the catalog could not be looked at')
      })
    }, everyMs)
    this.#timer.unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  async #look(): Promise<Snapshot> {
    const generation = await this.#catalog.generation()
    const known = this.#current
    if (known !== null && (known.generation === generation || performance.now() < this.#notBefore))
      return known
    const start = performance.now()
    // The generation was read first: what changes while this loads is loaded again by the next look.
    const [builds, tools] = await Promise.all([this.#catalog.builds(), this.#catalog.tools()])
    const loaded: Snapshot = {
      id: (known?.id ?? 0) + 1,
      generation,
      kernels: new KernelIndex(builds),
      tools: new ToolIndex(tools),
    }
    const tookMs = performance.now() - start
    this.#notBefore = known === null ? 0 : performance.now() + RESTS_PER_LOAD * tookMs
    this.#current = loaded
    this.#log.debug({ generation, builds: builds.length, tools: tools.length, tookMs }, 'loaded the catalog')
    return loaded
  }
}
