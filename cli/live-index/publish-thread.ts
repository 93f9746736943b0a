import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { packageRoot } from '../../core/version.ts'
import type { Published } from './publish.ts'

/** What the thread is told. */
export interface PublishTask {
  readonly dataDir: string
  readonly folder: string
  readonly keyFiles: readonly string[]
  readonly lifetimeMs: number
}

/** What it says: `busy` where another process is making one. */
export type PublishAnswer = { readonly published: Published } | { readonly busy: true }

/** Memory of the thread: 20,000 kernels take some 150 MB. */
const MAX_HEAP_MB = 2048

/** Threads run compiled code, also when this is run from the sources. */
const FILE = join(packageRoot, 'dist/cli/live-index/worker.js')

/** Makes an index in a thread of its own; null where another process is making one. Rejects where it fails. */
export function publishInThread(task: PublishTask, signal: AbortSignal): Promise<Published | null> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const worker = new Worker(FILE, {
      workerData: task,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    })
    const stop = (): void => void worker.terminate()
    signal.addEventListener('abort', stop, { once: true })
    let answer: PublishAnswer | undefined
    worker.on('message', (said: PublishAnswer) => (answer = said))
    worker.on('error', reject)
    worker.on('exit', () => {
      signal.removeEventListener('abort', stop)
      if (answer === undefined) reject(new Error('the thread that makes the signed index ended early'))
      else resolve('published' in answer ? answer.published : null)
    })
  })
}
