import { setTimeout as sleep } from 'node:timers/promises'
import { describeError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { KernelIndex } from '../core/resolve/kernel-index.ts'
import type { Build, Catalog } from '../store/types.ts'
import { ToolIndex } from './tool-index.ts'

/** A catalog at one moment, in memory. */
export interface Snapshot {
  /** Another one has another id: what was made from this one is stale then. */
  readonly id: number
  readonly generation: number
  readonly kernels: KernelIndex<Build>
  readonly tools: ToolIndex
}

/** A load that took T is followed by no other within T, and by none that nobody waits for within this many T. */
const RESTS_PER_LOAD = 10
/** Builds that are read at a time: requests are answered in between. */
const PAGE_SIZE = 1000
/**
 * Builds are never changed (store/types.ts), so only new ones are read; all of them again once in this while, should
 * some have been removed by hand.
 */
const WHOLE_EVERY_MS = 10 * 60_000

/**
 * The newest snapshot of a catalog that others may be writing to. The old one serves while a new one is made, of which
 * there is one at a time; only the first has to be waited for.
 */
export class Snapshots {
  readonly #catalog: Catalog
  readonly #log: Log
  #current: Snapshot | null = null
  #builds: readonly Build[] = []
  #wholeAt = 0
  #loadedAt = 0
  #loadMs = 0
  #underWay: Promise<Snapshot> | null = null
  #next: Promise<Snapshot> | null = null
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
    return this.#current ?? this.#underWay ?? this.refresh()
  }

  /**
   * What the catalog says at the time of the call or later. Many callers cost one look, and a load only where the
   * catalog has changed. Throws what the catalog throws; what is known stays.
   */
  refresh(): Promise<Snapshot> {
    if (this.#underWay === null) return this.#start()
    // The look that is under way may have missed what this caller knows of.
    this.#next ??= this.#underWay
      .catch(() => null)
      .then(() => {
        this.#next = null
        return this.#start()
      })
    return this.#next
  }

  /** Looks every so often until {@link stop}. A look that fails is logged. */
  start(everyMs: number): void {
    this.#timer ??= setInterval(() => {
      if (performance.now() < this.#loadedAt + RESTS_PER_LOAD * this.#loadMs || this.#underWay !== null)
        return
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

  #start(): Promise<Snapshot> {
    this.#underWay = this.#look().finally(() => {
      this.#underWay = null
    })
    return this.#underWay
  }

  async #look(): Promise<Snapshot> {
    const known = this.#current
    if (known !== null) {
      if ((await this.#catalog.generation()) === known.generation) return known
      await sleep(Math.max(0, this.#loadedAt + this.#loadMs - performance.now()))
    }
    const start = performance.now()
    // Read first: what changes while this loads is seen by the next look.
    const generation = await this.#catalog.generation()
    const [builds, tools] = await Promise.all([this.#readBuilds(), this.#catalog.tools()])
    this.#builds = builds
    this.#current = {
      id: (known?.id ?? 0) + 1,
      generation,
      kernels: new KernelIndex(builds),
      tools: new ToolIndex(tools),
    }
    this.#loadedAt = performance.now()
    this.#loadMs = this.#loadedAt - start
    this.#log.debug(
      { generation, builds: builds.length, tools: tools.length, ms: this.#loadMs },
      'catalog loaded',
    )
    return this.#current
  }

  async #readBuilds(): Promise<readonly Build[]> {
    const isWhole = this.#current === null || performance.now() > this.#wholeAt + WHOLE_EVERY_MS
    if (isWhole) this.#wholeAt = performance.now()
    const builds = isWhole ? [] : [...this.#builds]
    for (;;) {
      const afterId = builds.at(-1)?.id ?? 0
      const page = await this.#catalog.builds({ afterId, limit: PAGE_SIZE })
      builds.push(...page)
      if (page.length < PAGE_SIZE) return builds
    }
  }
}
