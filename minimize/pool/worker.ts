/** A thread of a {@link MinimizePool}: tools come with the kernels, and are read once. */
import { parentPort } from 'node:worker_threads'
import { BtfError, parseBtf } from '../../btf/index.ts'
import { RecentCache } from '../../core/recent-cache.ts'
import { parseBpfObject } from '../bpf-object.ts'
import { type CheckedObject, checkObject, prepareCheck } from '../check/check.ts'
import type { ObjectCheck, RelocationCheck } from '../check/types.ts'
import { MinimizeError } from '../errors.ts'
import { KernelView } from '../kernel-view.ts'
import { minimizeFor } from '../minimize.ts'
import { type PreparedTool, prepareTool } from '../prepare.ts'
import type { NumberedTool, PoolAnswer, PoolCheck, PoolCut, PoolRefusal, PoolTask } from './messages.ts'

/** Tools that are kept read, of each kind of work. */
const MAX_TOOLS = 32

const toCut = new RecentCache<PreparedTool>(MAX_TOOLS)
const toCheck = new RecentCache<readonly CheckedObject[]>(MAX_TOOLS)

parentPort?.on('message', (task: PoolTask) => {
  parentPort?.postMessage(answer(task))
})

function answer(task: PoolTask): PoolAnswer {
  switch (task.kind) {
    case 'cut':
      return { kind: 'cut', results: forEach(task, cut) }
    case 'check':
      return { kind: 'check', results: forEach(task, (tool, view) => check(tool, view, task.isBrief)) }
  }
}

/** One view serves all tools. */
function forEach<R>(
  { tools, kernel }: PoolTask,
  work: (tool: NumberedTool, view: KernelView) => R,
): (R | PoolRefusal)[] {
  try {
    const view = new KernelView(parseBtf(kernel))
    return tools.map((tool) => {
      try {
        return work(tool, view)
      } catch (err) {
        return refusal(err, '')
      }
    })
  } catch (err) {
    const refused = refusal(err, "the kernel's BTF: ")
    return tools.map(() => refused)
  }
}

function refusal(err: unknown, subject: string): PoolRefusal {
  if (err instanceof MinimizeError) return { ok: false, code: err.code, message: subject + err.message }
  if (err instanceof BtfError) return { ok: false, code: 'MALFORMED', message: subject + err.message }
  throw err
}

function cut(tool: NumberedTool, view: KernelView): PoolCut {
  const prepared = known(toCut, tool, ({ objects }) =>
    prepareTool(objects.map(({ name, bytes }) => parseBpfObject(name, bytes))),
  )
  const { bytes, types, counts } = minimizeFor(prepared, view)
  return { ok: true, bytes, types, counts }
}

function check(tool: NumberedTool, view: KernelView, isBrief: boolean): PoolCheck {
  const checked = known(toCheck, tool, ({ objects }) =>
    objects.map(({ name, bytes }) => prepareCheck(name, bytes)),
  )
  const objects = checked.map((object) => checkObject(object, view))
  const kernelOnly = checked.map((each) => [each.prepared.object.name, each.kernelOnly] as const)
  return { ok: true, objects: isBrief ? objects.map(brief) : objects, kernelOnly }
}

function known<T>(cache: RecentCache<T>, tool: NumberedTool, read: (tool: NumberedTool) => T): T {
  const ready = cache.get(String(tool.id))
  if (ready !== undefined) return ready
  const made = read(tool)
  cache.set(String(tool.id), made, 1)
  return made
}

function brief(check: ObjectCheck): ObjectCheck {
  const isTold = ({ verdict }: RelocationCheck): boolean => verdict !== 'resolves' && verdict !== 'absent'
  return {
    ...check,
    programs: check.programs.map((program) => ({
      ...program,
      relocations: program.relocations.filter(isTold),
    })),
    unused: check.unused.filter(isTold),
  }
}
