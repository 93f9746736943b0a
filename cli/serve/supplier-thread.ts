import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describeError } from '../../core/errors.ts'
import type { Log, LogLevel } from '../../core/log.ts'
import { packageRoot } from '../../core/version.ts'
import { type KernelFacts, type Supplier, type Supply, SupplyError } from '../../registry/index.ts'

/** What the thread of an on-demand supplier is told when it starts. */
export interface OnDemandSetup {
  readonly dataDir: string
  readonly sources: readonly string[]
  readonly mirrors: readonly string[]
  readonly logLevel: LogLevel
  readonly paholeJobs: number
}

/** To the thread. */
export type SupplierQuestion =
  { readonly kind: 'supply'; readonly id: number; readonly facts: KernelFacts } | { readonly kind: 'close' }

/** From it; `queued` as it is now. */
export interface SupplierReply {
  readonly id: number
  readonly queued: number
  readonly result:
    { readonly supply: Supply } | { readonly code: SupplyError['code'] | null; readonly message: string }
}

interface Pending {
  readonly resolve: (supply: Supply) => void
  readonly reject: (err: Error) => void
}

/** Threads run compiled code, also when this is run from the sources. */
const FILE = join(packageRoot, 'dist/cli/serve/supplier-worker.js')
/** Memory of the thread, beyond what packages are unpacked in: indexes of whole distributions. */
const MAX_HEAP_MB = 2048

/**
 * Extracts on demand in a thread of its own: reading indexes and checking a kernel's BTF takes seconds of computing, in
 * which nobody else would be answered. A thread that ends by itself is a failure of what it worked on, and another is
 * started for the next question.
 */
export class SupplierThread implements Supplier {
  readonly name = 'on-demand'
  readonly #setup: OnDemandSetup
  readonly #env: NodeJS.ProcessEnv
  readonly #log: Log
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | null = null
  #lastId = 0
  #queued = 0
  #isClosed = false

  /** `env`: of the thread, for proxies and the like. */
  constructor(setup: OnDemandSetup, { env, log }: { readonly env: NodeJS.ProcessEnv; readonly log: Log }) {
    this.#setup = setup
    this.#env = env
    this.#log = log
    this.#start()
  }

  get queued(): number {
    return Math.max(this.#queued, this.#pending.size)
  }

  supply(facts: KernelFacts): Promise<Supply> {
    if (this.#isClosed) return Promise.reject(new SupplyError('ILL', 'this hub is stopping'))
    const worker = this.#worker ?? this.#start()
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      worker.postMessage({ kind: 'supply', id, facts } satisfies SupplierQuestion)
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const worker = this.#worker
    if (worker === null) return
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    worker.postMessage({ kind: 'close' } satisfies SupplierQuestion)
    await ended
  }

  #start(): Worker {
    const worker = new Worker(FILE, {
      workerData: this.#setup,
      env: this.#env,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    })
    this.#worker = worker
    worker.on('message', (reply: SupplierReply) => this.#take(reply))
    worker.on('error', (err) => {
      this.#log.error({ err: describeError(err) }, 'the thread that extracts on demand has ended')
    })
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = null
      this.#queued = 0
      const left = [...this.#pending.values()]
      this.#pending.clear()
      for (const { reject } of left)
        reject(new SupplyError('ILL', 'it could not be extracted; the log has more'))
    })
    return worker
  }

  #take({ id, queued, result }: SupplierReply): void {
    this.#queued = queued
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if ('supply' in result) pending?.resolve(result.supply)
    else if (result.code === null) pending?.reject(new Error(result.message))
    else pending?.reject(new SupplyError(result.code, result.message))
  }
}
