/** A thread of a {@link MinimizePool}: its tools come with its start, kernels one by one. */
import { parentPort, workerData } from 'node:worker_threads'
import { BtfError, parseBtf } from '../../btf/index.ts'
import { parseBpfObject } from '../bpf-object.ts'
import { MinimizeError } from '../errors.ts'
import { KernelView } from '../kernel-view.ts'
import { minimizeFor } from '../minimize.ts'
import { type PreparedTool, prepareTool } from '../prepare.ts'
import type { PoolAnswer, PoolCut, PoolTask, PoolTool } from './messages.ts'

const tools = (workerData as readonly PoolTool[]).map(({ objects }) =>
  prepareTool(objects.map(({ name, bytes }) => parseBpfObject(name, bytes))),
)

parentPort?.on('message', ({ kernel }: PoolTask) => {
  const answer: PoolAnswer = { cuts: cutAll(kernel) }
  parentPort?.postMessage(answer)
})

/** One view serves all tools. */
function cutAll(kernel: Uint8Array): PoolCut[] {
  try {
    const view = new KernelView(parseBtf(kernel))
    return tools.map((tool) => cut(tool, view))
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    const failure: PoolCut = { ok: false, code: 'MALFORMED', message: `the kernel's BTF: ${err.message}` }
    return tools.map(() => failure)
  }
}

function cut(tool: PreparedTool, view: KernelView): PoolCut {
  try {
    return { ok: true, bytes: minimizeFor(tool, view).bytes }
  } catch (err) {
    if (!(err instanceof MinimizeError)) throw err
    return { ok: false, code: err.code, message: err.message }
  }
}
