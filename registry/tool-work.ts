import { setImmediate } from 'node:timers/promises'
import type { Sha256 } from '../core/digest.ts'
import { describeError, isAbort } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import type { Catalog, Tool } from '../store/types.ts'
import type { ToolProgress } from './api.ts'
import type { Snapshots } from './snapshots.ts'
import { formatTool } from './tool-index.ts'
import { toTool } from './wire.ts'

/** Makes what min BTF a tool still lacks, apart from the thread that answers requests. */
export type MakeMinBtfs = (
  tool: Tool,
  signal: AbortSignal,
) => Promise<{ readonly unfit: readonly { readonly btf: string; readonly reason: string }[] }>

/**
 * Keeps min BTF of all tools ready for all kernels, one tool after the other, in the background. What is made is in the
 * catalog at once, so that a hub that was stopped goes on where it was.
 */
export class ToolWork {
  readonly #catalog: Catalog
  readonly #snapshots: Snapshots
  readonly #log: Log
  readonly #make: MakeMinBtfs | undefined
  readonly #stop = new AbortController()
  /** By tool: full BTFs that it does not fit, as far as this process has seen. */
  readonly #unfit = new Map<number, ReadonlySet<string>>()
  #working: Promise<void> | null = null
  #isWanted = false
  #current: number | null = null

  constructor(parts: {
    readonly catalog: Catalog
    readonly snapshots: Snapshots
    readonly log: Log
    readonly makeMinBtfs?: MakeMinBtfs | undefined
  }) {
    this.#catalog = parts.catalog
    this.#snapshots = parts.snapshots
    this.#log = parts.log
    this.#make = parts.makeMinBtfs
  }

  /** Begins, where there is something to be made and somebody who makes it; also what came while it works. */
  wake(): void {
    this.#isWanted = true
    if (this.#make === undefined || this.#stop.signal.aborted) return
    this.#working ??= this.#work(this.#make).finally(() => {
      this.#working = null
      if (this.#isWanted) this.wake()
    })
  }

  /** How far a tool has come. Throws what the catalog throws. */
  async progress(tool: Tool): Promise<ToolProgress> {
    const wanted = await this.#wanted()
    const ready = await this.#catalog.minBtfs(tool.id)
    const unfit = [...(this.#unfit.get(tool.id) ?? [])].filter((btf) => wanted.has(btf as Sha256)).length
    const done = [...wanted].filter((btf) => ready.has(btf)).length + unfit
    const isWorked = this.#current === tool.id || (this.#make !== undefined && this.#isWanted)
    const state = done >= wanted.size ? 'ready' : isWorked ? 'working' : 'waiting'
    return { tool: toTool(tool), state, done, total: wanted.size, unfit }
  }

  /** Breaks off, and waits until it has. */
  async close(): Promise<void> {
    this.#isWanted = false
    this.#stop.abort(new DOMException('the hub is stopping', 'AbortError'))
    await this.#working
  }

  async #work(make: MakeMinBtfs): Promise<void> {
    this.#isWanted = false
    for (const tool of await this.#catalog.tools()) {
      if (this.#stop.signal.aborted) return
      // Looking costs some 50 ms on a large hub: requests are answered between two tools.
      await setImmediate()
      try {
        const { state } = await this.progress(tool)
        if (state === 'ready') continue
        this.#current = tool.id
        const { unfit } = await make(tool, this.#stop.signal)
        this.#unfit.set(tool.id, new Set(unfit.map(({ btf }) => btf)))
      } catch (err) {
        // The next request for one, or the next start, tries again.
        if (!isAbort(err)) {
          this.#log.warn({ tool: formatTool(tool), err: describeError(err) }, 'min BTF could not be made')
        }
      } finally {
        this.#current = null
      }
    }
  }

  /** Different full BTFs that the catalog has now. */
  async #wanted(): Promise<ReadonlySet<Sha256>> {
    const { kernels } = await this.#snapshots.get()
    return new Set(kernels.entries.flatMap(({ builds }) => builds.map((build) => build.btf.digest)))
  }
}
