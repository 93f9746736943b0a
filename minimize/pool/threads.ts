import { Worker } from 'node:worker_threads'
import { MinimizeError } from '../errors.ts'

interface Pending<Task, Answer> {
  readonly task: Task
  readonly resolve: (answer: Answer) => void
  readonly reject: (reason: Error) => void
}

interface Thread<Task, Answer> {
  readonly worker: Worker
  running: Pending<Task, Answer> | null
  deadline: NodeJS.Timeout | undefined
}

export interface ThreadOptions {
  /** At most so many; they start as they are needed. */
  readonly threads: number
  /** A task that takes longer ends with its thread; without, it may take for ever. */
  readonly timeoutMs?: number
}

/** Memory of one thread, beyond the bytes that it is given: what only a hostile input reaches. */
const MAX_HEAP_MB = 1024

/** Threads that each do one task after the other. What a task breaks is its thread alone, and another one starts. */
export class Threads<Task, Answer> {
  readonly #file: string
  readonly #options: ThreadOptions
  readonly #threads = new Set<Thread<Task, Answer>>()
  readonly #waiting: Pending<Task, Answer>[] = []
  #isClosed = false

  /** `file`: what each thread runs; it answers every message with one. */
  constructor(file: string, options: ThreadOptions) {
    this.#file = file
    this.#options = options
  }

  /** Tasks that no thread has begun. */
  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * The answer to a task. Rejects with MinimizeError `LIMIT` where it takes longer or more memory than it may, and with
   * an Error where the thread ended otherwise, which is a defect, or was closed.
   */
  run(task: Task): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ task, resolve, reject })
      this.#dispatch()
    })
  }

  /** Ends the threads; what is under way is rejected. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#dispatch()
    await Promise.all([...this.#threads].map((thread) => this.#end(thread, closed())))
  }

  #dispatch(): void {
    if (this.#isClosed) {
      for (const { reject } of this.#waiting.splice(0)) reject(closed())
      return
    }
    while (this.#waiting.length > 0) {
      const thread = [...this.#threads].find(({ running }) => running === null) ?? this.#start()
      if (thread === null) return
      thread.running = this.#waiting.shift() ?? null
      const { timeoutMs } = this.#options
      if (timeoutMs !== undefined) {
        const late = new MinimizeError('LIMIT', `not done in ${timeoutMs / 1000} s`)
        thread.deadline = setTimeout(() => void this.#end(thread, late), timeoutMs)
      }
      thread.worker.ref()
      thread.worker.postMessage(thread.running?.task)
    }
  }

  #start(): Thread<Task, Answer> | null {
    if (this.#threads.size >= this.#options.threads) return null
    const worker = new Worker(this.#file, { resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB } })
    const thread: Thread<Task, Answer> = { worker, running: null, deadline: undefined }
    worker.on('message', (answer: Answer) => this.#finish(thread, answer))
    worker.on('error', (err) => void this.#end(thread, ofThread(err)))
    // Threads that wait for tasks keep no process alive.
    worker.unref()
    this.#threads.add(thread)
    return thread
  }

  #finish(thread: Thread<Task, Answer>, answer: Answer): void {
    clearTimeout(thread.deadline)
    thread.running?.resolve(answer)
    thread.running = null
    thread.worker.unref()
    this.#dispatch()
  }

  async #end(thread: Thread<Task, Answer>, why: Error): Promise<void> {
    clearTimeout(thread.deadline)
    this.#threads.delete(thread)
    thread.running?.reject(why)
    thread.running = null
    const ended = thread.worker.terminate()
    this.#dispatch()
    await ended
  }
}

function closed(): Error {
  return new Error('the threads were closed')
}

function ofThread(err: Error & { readonly code?: unknown }): Error {
  if (err.code !== 'ERR_WORKER_OUT_OF_MEMORY') return err
  return new MinimizeError('LIMIT', `more than ${MAX_HEAP_MB} MiB of memory`, { cause: err })
}
