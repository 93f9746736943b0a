import { availableParallelism } from 'node:os'
import PQueue from 'p-queue'
import type { Sha256 } from '../../core/digest.ts'
import { describeError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { MinimizeError, type MinimizePool, openMinimizePool, type PoolTool } from '../../minimize/index.ts'
import { MinBtfs, RegistryError } from '../../registry/index.ts'
import type { BlobRef, Build, Store, Tool } from '../../store/index.ts'

/** What a tool has come to on all kernels. */
export interface ToolCoverage {
  /** Different full BTFs that have a min BTF of the tool now. */
  readonly kernels: number
  /** Sum of the different min BTFs, in bytes. */
  readonly bytes: number
  /** Different min BTFs: most kernels of a series share one. */
  readonly contents: number
  /** Kernels without, and why. */
  readonly unfit: readonly { readonly btf: string; readonly reason: string }[]
}

/** Keeps min BTF of every tool ready for every kernel. */
export interface MinMaker {
  /** All tools, on a build that has just come. A tool that does not fit it is logged and is no failure of the build. */
  forBuild(build: Build): Promise<void>
  /** All kernels, for a tool that has just come. */
  forTool(
    tool: Tool,
    signal: AbortSignal,
    onProgress: (done: number, total: number) => void,
  ): Promise<ToolCoverage>
}

/**
 * `threads` and `poolFrom`: how many threads cut, and from how many kernels on; where requests are answered meanwhile,
 * one is left to them and nothing is cut beside them.
 */
export function createMinMaker(
  store: Store,
  log: Log,
  { threads = THREADS, poolFrom = POOL_FROM }: { readonly threads?: number; readonly poolFrom?: number } = {},
): MinMaker {
  const minBtfs = new MinBtfs({ catalog: store.catalog, blobs: store.blobs, log })
  return {
    async forBuild(build) {
      for (const tool of await store.catalog.tools()) {
        try {
          await minBtfs.get(tool, build.btf.digest)
        } catch (err) {
          if (!(err instanceof RegistryError)) throw err
          log.warn({ tool: tool.name, kernel: build.kernel, reason: describeError(err) }, 'no min BTF')
        }
      }
    },
    async forTool(tool, signal, onProgress) {
      const digests = [...new Set((await store.catalog.builds()).map((build) => build.btf.digest))]
      const ready = await store.catalog.minBtfs(tool.id)
      const lacking = digests.filter((digest) => !ready.has(digest)).length
      const objects = lacking < poolFrom ? null : await readTool(store, tool)
      const pool = objects === null ? null : openMinimizePool({ threads })
      const contents = new Map<string, number>()
      const unfit: { btf: string; reason: string }[] = []
      let done = 0
      const make = async (btf: Sha256): Promise<void> => {
        signal.throwIfAborted()
        try {
          const known = ready.get(btf)
          const isAlone = pool === null || objects === null || known !== undefined
          const { digest, sizeBytes } = isAlone
            ? await minBtfs.get(tool, btf)
            : await keep(store, tool, btf, await pool.cut(await store.blobs.read(btf), [objects]))
          contents.set(digest, sizeBytes)
        } catch (err) {
          if (!(err instanceof RegistryError) && !isUnfit(err)) throw err
          unfit.push({ btf, reason: describeError(err) })
        }
        onProgress(++done, digests.length)
      }
      try {
        const queue = new PQueue({ concurrency: pool === null ? 1 : threads + 1 })
        await queue.addAll(digests.map((btf) => () => make(btf)))
      } finally {
        await pool?.close()
      }
      unfit.sort((a, b) => (a.btf < b.btf ? -1 : 1))
      const bytes = [...contents.values()].reduce((sum, size) => sum + size, 0)
      return { kernels: digests.length - unfit.length, bytes, contents: contents.size, unfit }
    },
  }
}

/** Threads pay from some kernels on: each reads the tool's objects, and starts in some 50 ms. */
const POOL_FROM = 16
const THREADS = availableParallelism()

async function readTool(store: Store, tool: Tool): Promise<PoolTool> {
  const objects = []
  for (const { name, digest } of tool.objects) objects.push({ name, bytes: await store.blobs.read(digest) })
  return { objects }
}

/** Keeps what a thread has cut. Throws MinimizeError where the tool does not fit the kernel, StoreError. */
async function keep(
  store: Store,
  tool: Tool,
  btf: Sha256,
  [made]: Awaited<ReturnType<MinimizePool['cut']>>,
): Promise<BlobRef> {
  if (made === undefined) throw new TypeError('a pool gives one min BTF for each tool')
  if (!made.ok) throw new MinimizeError(made.code, made.message)
  const ref = await store.blobs.put(made.bytes)
  await store.catalog.putMinBtf(tool.id, btf, ref)
  return ref
}

/** All but a min BTF that is not what it should be, which is a defect of ours. */
function isUnfit(err: unknown): boolean {
  return err instanceof MinimizeError && err.code !== 'DIFFERS'
}
