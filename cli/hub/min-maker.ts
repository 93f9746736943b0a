import { describeError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { MinBtfs, RegistryError } from '../../registry/index.ts'
import type { Build, Store, Tool } from '../../store/index.ts'

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

export function createMinMaker(store: Store, log: Log): MinMaker {
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
      const contents = new Map<string, number>()
      const unfit: { btf: string; reason: string }[] = []
      for (const [done, btf] of digests.entries()) {
        signal.throwIfAborted()
        try {
          const min = await minBtfs.get(tool, btf)
          contents.set(min.digest, min.sizeBytes)
        } catch (err) {
          if (!(err instanceof RegistryError)) throw err
          unfit.push({ btf, reason: describeError(err) })
        }
        onProgress(done + 1, digests.length)
      }
      const bytes = [...contents.values()].reduce((sum, size) => sum + size, 0)
      return { kernels: digests.length - unfit.length, bytes, contents: contents.size, unfit }
    },
  }
}
