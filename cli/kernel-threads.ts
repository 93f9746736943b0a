import { availableParallelism } from 'node:os'
import type { Btf } from '../btf/index.ts'
import {
  type CheckedObject,
  checkObject,
  KernelView,
  MinimizeError,
  type MinimizePool,
  type ObjectCheck,
  openMinimizePool,
  type PoolTool,
} from '../minimize/index.ts'
import type { Cut } from './minimize-engines.ts'

/** Threads pay from some kernels on: each starts in some 50 ms and reads the objects. */
const THREADS_FROM = 16
const THREADS = availableParallelism()

/** Kernels that are unpacked, or worked on, while the result of another one is taken. */
export const READ_AHEAD = THREADS + 1

/** Runs work over many kernels with a pool of threads, over few without. */
export async function withThreads<T>(
  kernels: number,
  work: (pool: MinimizePool | null) => Promise<T>,
): Promise<T> {
  const pool = kernels < THREADS_FROM ? null : openMinimizePool({ threads: THREADS })
  try {
    return await work(pool)
  } finally {
    await pool?.close()
  }
}

/** Throws MinimizeError. */
export async function cutInThread(pool: MinimizePool, tool: PoolTool, btf: Btf): Promise<Cut> {
  const [cut] = await pool.cut(btf.bytes, [tool])
  if (cut === undefined) throw new TypeError('a pool gives one min BTF for each tool')
  if (!cut.ok) throw new MinimizeError(cut.code, cut.message)
  return cut
}

/** In a thread where there are some. `isBrief`: relocations that come to what they ask for may be left out. */
export async function checkKernel(
  pool: MinimizePool | null,
  objects: readonly CheckedObject[],
  tool: PoolTool,
  btf: Btf,
  isBrief: boolean,
): Promise<readonly ObjectCheck[]> {
  if (pool === null) {
    const view = new KernelView(btf)
    return objects.map((object) => checkObject(object, view))
  }
  const check = await pool.check(btf.bytes, tool, { isBrief })
  if (!check.ok) throw new MinimizeError(check.code, check.message)
  return check.objects
}
