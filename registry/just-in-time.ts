import { describeError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { limits } from '../core/limits.ts'
import { RecentCache } from '../core/recent-cache.ts'
import { RegistryError } from './errors.ts'
import type { KernelFacts } from '../core/resolve/facts.ts'
import type { Metrics } from './metrics.ts'
import { type Supplier, SupplyError } from './supplier.ts'

export interface JustInTimeOptions {
  /** How long a request waits for what is being brought, before it is told to come again. */
  readonly waitMs: number
  /** How long "nobody has it" is believed. */
  readonly absentMs: number
  /** How long after "could not know" nobody is asked again. */
  readonly illMs: number
  /** Different kernels that are asked about at a time. */
  readonly maxFlights: number
}

export const defaultJustInTime: JustInTimeOptions = {
  waitMs: 10_000,
  absentMs: 10 * 60_000,
  illMs: 20_000,
  maxFlights: 64,
}

/** Retry-After of who was not waited for: as long as it took so far, within these seconds. */
const MIN_RETRY_SECONDS = 2
const MAX_RETRY_SECONDS = 30

/** What is remembered of a kernel that nobody brought; until `until` (`performance.now()`). */
interface Refusal {
  readonly until: number
  readonly error: RegistryError | null
  readonly why: string | null
}

interface Flight {
  readonly startedAt: number
  readonly landed: Promise<Landing>
}

/** `why`: what is worth telling of why nobody has it. */
type Landing = { readonly kind: 'added' } | { readonly kind: 'absent'; readonly why: string | null }

/**
 * Has suppliers bring what the catalog lacks: once for all who ask for the same at a time, in the order of the
 * suppliers, while each asker waits a little.
 */
export class JustInTime {
  readonly #suppliers: readonly Supplier[]
  readonly #options: JustInTimeOptions
  readonly #metrics: Metrics
  readonly #log: Log
  readonly #flights = new Map<string, Flight>()
  readonly #refusals = new RecentCache<Refusal>(limits.request.maxRefusals)

  constructor(parts: {
    readonly suppliers: readonly Supplier[]
    readonly options: JustInTimeOptions
    readonly metrics: Metrics
    readonly log: Log
  }) {
    this.#suppliers = parts.suppliers
    this.#options = parts.options
    this.#metrics = parts.metrics
    this.#log = parts.log
  }

  /** What each supplier has to do. */
  get queues(): readonly { readonly name: string; readonly queued: number }[] {
    return this.#suppliers.map(({ name, queued }) => ({ name, queued }))
  }

  /** Kernels that are being brought. */
  get flights(): number {
    return this.#flights.size
  }

  /**
   * Brings what the facts describe. Throws RegistryError `PENDING` with `Retry-After` where that takes longer than an
   * asker waits, `BUSY`, and `UNAVAILABLE` where nobody has it but somebody could not be asked.
   */
  async bring(facts: KernelFacts, via?: string): Promise<Landing> {
    if (this.#suppliers.length === 0) return { kind: 'absent', why: null }
    const key = JSON.stringify([
      facts.release,
      facts.arch,
      facts.distro,
      facts.version,
      facts.buildId,
      facts.banner,
    ])
    const refusal = this.#refusals.get(key)
    if (refusal !== undefined && performance.now() < refusal.until) {
      this.#metrics.count(this.#metrics.supplies, 'all', 'remembered')
      if (refusal.error !== null) throw refusal.error
      return { kind: 'absent', why: refusal.why }
    }
    return this.#waitFor(this.#flights.get(key) ?? this.#start(key, facts, via))
  }

  /** Breaks off what is under way, and waits for its end. */
  async close(): Promise<void> {
    await Promise.all(this.#suppliers.map((supplier) => supplier.close()))
    await Promise.allSettled([...this.#flights.values()].map(({ landed }) => landed))
  }

  #start(key: string, facts: KernelFacts, via: string | undefined): Flight {
    if (this.#flights.size >= this.#options.maxFlights) {
      throw new RegistryError('BUSY', `${this.#flights.size} other kernels are being fetched`)
    }
    const landed = this.#fly(facts, via)
      .then((landing) => {
        if (landing.kind === 'absent') this.#refuse(key, this.#options.absentMs, null, landing.why)
        return landing
      })
      .catch((err: unknown) => {
        if (err instanceof RegistryError && err.code === 'UNAVAILABLE') {
          this.#refuse(key, this.#options.illMs, err, null)
        }
        throw err
      })
      .finally(() => this.#flights.delete(key))
    // Askers may all be gone when it lands.
    landed.catch(() => {})
    const flight = { startedAt: performance.now(), landed }
    this.#flights.set(key, flight)
    return flight
  }

  async #waitFor({ startedAt, landed }: Flight): Promise<Landing> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), this.#options.waitMs)
    })
    const landing = await Promise.race([landed, late]).finally(() => clearTimeout(timer))
    if (landing !== null) return landing
    const seconds = Math.ceil((performance.now() - startedAt) / 1000)
    const retryAfter = Math.min(MAX_RETRY_SECONDS, Math.max(MIN_RETRY_SECONDS, seconds))
    throw new RegistryError('PENDING', 'it is being fetched; ask again in a while', {
      headers: { 'Retry-After': String(retryAfter) },
      facts: { retry_after: retryAfter },
    })
  }

  /** One after the other, until one has it. */
  async #fly(facts: KernelFacts, via: string | undefined): Promise<Landing> {
    const whys: string[] = []
    const ill: string[] = []
    let busy: string | null = null
    for (const supplier of this.#suppliers) {
      try {
        const supply = await supplier.supply(facts, via)
        this.#metrics.count(this.#metrics.supplies, supplier.name, supply.kind)
        if (supply.kind === 'added') return supply
        if (supply.why !== null) whys.push(supply.why)
      } catch (err) {
        const code = err instanceof SupplyError ? err.code : 'ILL'
        this.#metrics.count(this.#metrics.supplies, supplier.name, code.toLowerCase())
        this.#log.warn(
          { supplier: supplier.name, facts, err: describeError(err) },
          'a kernel could not be fetched',
        )
        if (code === 'BUSY') busy = describeError(err)
        else ill.push(err instanceof SupplyError ? err.message : `${supplier.name}: the log has more`)
      }
    }
    if (busy !== null) throw new RegistryError('BUSY', busy)
    if (ill.length > 0) {
      throw new RegistryError(
        'UNAVAILABLE',
        `not here, and where it might be could not be asked: ${ill.join('; ')}`,
      )
    }
    return { kind: 'absent', why: whys.length === 0 ? null : whys.join('; ') }
  }

  #refuse(key: string, forMs: number, error: RegistryError | null, why: string | null): void {
    this.#refusals.set(key, { until: performance.now() + forMs, error, why }, 1)
  }
}
