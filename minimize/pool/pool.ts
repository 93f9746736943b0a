import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { packageRoot } from '../../core/version.ts'
import type { PoolAnswer, PoolCut, PoolTask, PoolTool } from './messages.ts'

/** Threads that cut the min BTF of some tools out of many kernels. */
export interface MinimizePool {
  /**
   * The min BTF of each tool on a kernel, in the order of the tools. Kernels wait until a thread is free: whoever has
   * thousands hands in a few more than there are threads at a time. Rejects where a thread ended, which is a defect.
   */
  cut(kernel: Uint8Array): Promise<readonly PoolCut[]>
  /** Ends the threads; what is under way is rejected. */
  close(): Promise<void>
}

interface Pending {
  readonly kernel: Uint8Array
  readonly resolve: (cuts: readonly PoolCut[]) => void
  readonly reject: (reason: Error) => void
}

interface Thread {
  readonly worker: Worker
  running: Pending | null
}

/** Threads run compiled code, also when this is run from the sources. */
const WORKER = join(packageRoot, 'dist/minimize/pool/worker.js')

/** Starts the threads, each of which reads the tools' objects. Objects that cannot be read end them. */
export function openMinimizePool(tools: readonly PoolTool[], threads: number): MinimizePool {
  return new ThreadPool(tools, threads)
}

class ThreadPool implements MinimizePool {
  readonly #threads: Thread[] = []
  readonly #waiting: Pending[] = []
  #failure: Error | null = null

  constructor(tools: readonly PoolTool[], threads: number) {
    for (let i = 0; i < threads; i++) {
      const thread: Thread = { worker: new Worker(WORKER, { workerData: tools }), running: null }
      thread.worker.on('message', ({ cuts }: PoolAnswer) => this.#finish(thread, cuts))
      thread.worker.on('error', (err) => this.#fail(err))
      // Threads that wait for kernels keep no process alive.
      thread.worker.unref()
      this.#threads.push(thread)
    }
  }

  cut(kernel: Uint8Array): Promise<readonly PoolCut[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ kernel, resolve, reject })
      this.#dispatch()
    })
  }

  async close(): Promise<void> {
    this.#fail(new Error('the pool was closed'))
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }

  #dispatch(): void {
    if (this.#failure !== null) {
      for (const { reject } of this.#waiting.splice(0)) reject(this.#failure)
      return
    }
    for (const thread of this.#threads) {
      if (thread.running !== null) continue
      const next = this.#waiting.shift()
      if (next === undefined) return
      thread.running = next
      thread.worker.ref()
      const task: PoolTask = { kernel: next.kernel }
      thread.worker.postMessage(task)
    }
  }

  #finish(thread: Thread, cuts: readonly PoolCut[]): void {
    thread.running?.resolve(cuts)
    thread.running = null
    thread.worker.unref()
    this.#dispatch()
  }

  /** One thread that ends ends all: what broke it would break the others. */
  #fail(err: Error): void {
    this.#failure ??= err
    for (const thread of this.#threads) {
      thread.running?.reject(this.#failure)
      thread.running = null
    }
    this.#dispatch()
  }
}
