import { join } from 'node:path'
import { packageRoot } from '../../core/version.ts'
import type { NumberedTool, PoolAnswer, PoolCheck, PoolCut, PoolTask, PoolTool } from './messages.ts'
import { type ThreadOptions, Threads } from './threads.ts'

/**
 * Threads that cut min BTF out of many kernels, or check objects on them. Kernels wait until a thread is free: whoever
 * has thousands hands in a few more than there are threads at a time. A tool is read once by each thread as long as it
 * comes as the same object. All reject as {@link Threads.run} does.
 */
export interface MinimizePool {
  /** Kernels that no thread has begun to work on. */
  readonly waiting: number
  /** The min BTF of each tool on a kernel, in the order of the tools. */
  cut(kernel: Uint8Array, tools: readonly PoolTool[]): Promise<readonly PoolCut[]>
  /** What a tool's relocations come to on a kernel; `isBrief`: only those that fail or are guarded. */
  check(kernel: Uint8Array, tool: PoolTool, options: { readonly isBrief: boolean }): Promise<PoolCheck>
  /** Ends the threads; what is under way is rejected. */
  close(): Promise<void>
}

/** Threads run compiled code, also when this is run from the sources. */
const WORKER = join(packageRoot, 'dist/minimize/pool/worker.js')

export function openMinimizePool(options: ThreadOptions): MinimizePool {
  const threads = new Threads<PoolTask, PoolAnswer>(WORKER, options)
  const numbered = numberer()
  return {
    get waiting() {
      return threads.waiting
    },
    async cut(kernel, tools) {
      const answer = await threads.run({ kind: 'cut', tools: tools.map(numbered), kernel })
      if (answer.kind !== 'cut') throw new TypeError('a thread answers what it was asked')
      return answer.results
    },
    async check(kernel, tool, { isBrief }) {
      const answer = await threads.run({ kind: 'check', tools: [numbered(tool)], kernel, isBrief })
      const [result] = answer.kind === 'check' ? answer.results : []
      if (result === undefined) throw new TypeError('a thread answers what it was asked')
      return result
    },
    close: () => threads.close(),
  }
}

/** Gives tools their numbers, and their objects memory that all threads see without copying it. */
function numberer(): (tool: PoolTool) => NumberedTool {
  const known = new WeakMap<PoolTool, NumberedTool>()
  let last = 0
  return (tool) => {
    const ready = known.get(tool)
    if (ready !== undefined) return ready
    const objects = tool.objects.map(({ name, bytes }) => {
      const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength))
      shared.set(bytes)
      return { name, bytes: shared }
    })
    const made = { id: ++last, objects }
    known.set(tool, made)
    return made
  }
}
