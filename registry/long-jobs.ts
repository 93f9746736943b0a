import { limits } from '../core/limits.ts'
import { RecentCache } from '../core/recent-cache.ts'
import { RegistryError } from './errors.ts'

export interface LongJobOptions {
  /** How long a request waits for its job before it is told to come again. */
  readonly waitMs: number
  /** Jobs at a time. */
  readonly maxRunning: number
  /** A job that nobody has asked for during this is given up. */
  readonly abandonMs: number
  /** Results that are kept for who comes again. */
  readonly maxKeptBytes: number
}

export const defaultLongJobs: LongJobOptions = {
  waitMs: 20_000,
  maxRunning: 2,
  abandonMs: 60_000,
  maxKeptBytes: 2 * limits.request.maxBundleBytes,
}

const RETRY_SECONDS = 5

/** What a job is given. */
export interface JobContext {
  /** Aborted when nobody waits any more, or the hub stops. */
  readonly signal: AbortSignal
  progress(done: number, total: number): void
}

interface Job<T> {
  readonly result: Promise<T>
  readonly abort: AbortController
  waiters: number
  lastAskedAt: number
  progress: string
}

interface Kept<T> {
  readonly generation: number
  readonly value: T
}

/**
 * Work over all kernels, which takes longer than a request should: it is done once for all who ask for the same, goes on
 * while they come again, and its result is kept as long as the catalog stays as it was.
 */
export class LongJobs<T extends { readonly sizeBytes: number }> {
  readonly #options: LongJobOptions
  readonly #jobs = new Map<string, Job<T>>()
  readonly #kept: RecentCache<Kept<T>>

  constructor(options: Partial<LongJobOptions> = {}) {
    this.#options = { ...defaultLongJobs, ...options }
    this.#kept = new RecentCache(this.#options.maxKeptBytes)
  }

  /**
   * The result of the job of that key, started where it is not there for this generation of the catalog. Throws
   * RegistryError `PENDING` with `Retry-After` where it takes longer than a request waits, `BUSY`, and what the job
   * throws.
   */
  async get(key: string, generation: number, work: (job: JobContext) => Promise<T>): Promise<T> {
    const kept = this.#kept.get(key)
    if (kept?.generation === generation) return kept.value
    const job = this.#jobs.get(key) ?? this.#start(key, generation, work)
    job.waiters++
    try {
      return await this.#waitFor(job)
    } finally {
      job.waiters--
      job.lastAskedAt = performance.now()
    }
  }

  /** Gives up what is under way, and waits for its end. */
  async close(): Promise<void> {
    const jobs = [...this.#jobs.values()]
    for (const { abort } of jobs) abort.abort()
    await Promise.allSettled(jobs.map(({ result }) => result))
  }

  #start(key: string, generation: number, work: (job: JobContext) => Promise<T>): Job<T> {
    if (this.#jobs.size >= this.#options.maxRunning) {
      throw new RegistryError('BUSY', `${this.#jobs.size} requests over all kernels are being worked on`)
    }
    const abort = new AbortController()
    const context: JobContext = {
      signal: abort.signal,
      progress: (done, total) => {
        job.progress = `${done} of ${total} kernels`
      },
    }
    const watch = setInterval(() => {
      if (job.waiters === 0 && performance.now() - job.lastAskedAt > this.#options.abandonMs) abort.abort()
    }, this.#options.abandonMs / 4)
    const result = Promise.resolve()
      .then(() => {
        abort.signal.throwIfAborted()
        return work(context)
      })
      .then((value) => {
        this.#kept.set(key, { generation, value }, value.sizeBytes)
        return value
      })
      .catch((err: unknown) => {
        throw abort.signal.aborted ? new RegistryError('UNAVAILABLE', 'the work was given up') : err
      })
      .finally(() => {
        clearInterval(watch)
        this.#jobs.delete(key)
      })
    // Who asked may be gone when it ends.
    result.catch(() => {})
    const job: Job<T> = { result, abort, waiters: 0, lastAskedAt: performance.now(), progress: 'not begun' }
    this.#jobs.set(key, job)
    return job
  }

  async #waitFor(job: Job<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), this.#options.waitMs)
    })
    const result = await Promise.race([job.result, late]).finally(() => clearTimeout(timer))
    if (result !== null) return result
    throw new RegistryError('PENDING', `${job.progress} done; ask the same again in a while`, {
      headers: { 'Retry-After': String(RETRY_SECONDS) },
      facts: { retry_after: RETRY_SECONDS },
    })
  }
}
