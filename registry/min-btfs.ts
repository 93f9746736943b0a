import { setImmediate } from 'node:timers/promises'
import PQueue from 'p-queue'
import { parseBtf } from '../btf/index.ts'
import type { Sha256 } from '../core/digest.ts'
import { describeError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { RecentCache } from '../core/recent-cache.ts'
import {
  KernelView,
  MinimizeError,
  minimizeFor,
  parseBpfObject,
  type PreparedTool,
  prepareTool,
} from '../minimize/index.ts'
import { type BlobStore, type Catalog, StoreError, type Tool } from '../store/index.ts'
import { blobContent, type Content, memoryContent } from './content.ts'
import { RegistryError } from './errors.ts'
import { formatTool } from './tool-index.ts'

/** Makings that may wait at a time; at some 30 ms each, who comes later would wait for a minute. */
const MAX_WAITING = 2000
/** Tools whose objects are kept read. */
const MAX_TOOLS = 32
/** Kernels whose lookups are kept: some 10 MB each, and requests for one kernel come together. */
const MAX_KERNELS = 2
/** Pairs of tool and kernel that are known to give no min BTF. */
const MAX_UNFIT = 4096
/** Min BTF that could not be stored. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024

/**
 * Min BTF of tools on kernels: from the catalog, else made now, once for all who wait for it. `minimizeFor` checks what
 * it makes before it is given to anybody.
 */
export class MinBtfs {
  readonly #catalog: Catalog
  readonly #blobs: BlobStore
  readonly #log: Log
  /** One at a time: the work is all computing, and hot answers go out in between. */
  readonly #queue = new PQueue({ concurrency: 1 })
  readonly #underWay = new Map<string, Promise<Content>>()
  readonly #tools = new RecentCache<PreparedTool>(MAX_TOOLS)
  readonly #kernels = new RecentCache<KernelView>(MAX_KERNELS)
  readonly #unfit = new RecentCache<RegistryError>(MAX_UNFIT)
  readonly #kept = new RecentCache<Content>(MAX_KEPT_BYTES)
  #made = 0
  #isClosed = false

  constructor(parts: { readonly catalog: Catalog; readonly blobs: BlobStore; readonly log: Log }) {
    this.#catalog = parts.catalog
    this.#blobs = parts.blobs
    this.#log = parts.log
  }

  /** How many were made since the start. */
  get made(): number {
    return this.#made
  }

  /** How many wait to be made. */
  get waiting(): number {
    return this.#queue.size
  }

  /** Throws RegistryError `TOOL_UNFIT` where there can be none, `BUSY` where too many wait, StoreError. */
  async get(tool: Tool, btf: Sha256): Promise<Content> {
    const key = `${tool.id} ${btf}`
    const underWay = this.#underWay.get(key)
    if (underWay !== undefined) return underWay
    const finding = this.#find(tool, btf, key).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, finding)
    return finding
  }

  /** A min BTF that the store did not take, by its digest; null where there is none. */
  kept(digest: Sha256): Content | null {
    return this.#kept.get(digest) ?? null
  }

  /** Makes no more, and waits for what is being made. Who still waits gets `UNAVAILABLE`. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#underWay.values())
  }

  async #find(tool: Tool, btf: Sha256, key: string): Promise<Content> {
    const known = await this.#catalog.minBtf(tool.id, btf)
    // A blob that was lost is made again: it comes out the same.
    if (known !== null && (await this.#blobs.size(known.digest)) !== null)
      return blobContent(this.#blobs, known)
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    const unfit = this.#unfit.get(key)
    if (unfit !== undefined) throw unfit
    if (this.#queue.size >= MAX_WAITING) {
      throw new RegistryError('BUSY', `${MAX_WAITING} min BTF are being made before this one`)
    }
    const bytes = await this.#queue.add(() => this.#make(tool, btf, key))
    return this.#keep(tool, btf, key, bytes)
  }

  async #make(tool: Tool, btf: Sha256, key: string): Promise<Uint8Array> {
    if (this.#isClosed) throw new RegistryError('UNAVAILABLE', 'this hub is stopping')
    try {
      const prepared = await this.#prepared(tool)
      const kernel = await this.#kernel(btf)
      await setImmediate()
      const { bytes } = minimizeFor(prepared, kernel)
      this.#made++
      return bytes
    } catch (err) {
      if (!(err instanceof MinimizeError) || err.code === 'DIFFERS') throw err
      const unfit = new RegistryError('TOOL_UNFIT', `${formatTool(tool)}: ${err.message}`, { cause: err })
      this.#unfit.set(key, unfit, 1)
      throw unfit
    }
  }

  async #prepared(tool: Tool): Promise<PreparedTool> {
    const key = String(tool.id)
    const ready = this.#tools.get(key)
    if (ready !== undefined) return ready
    const objects = []
    for (const object of tool.objects) {
      objects.push(parseBpfObject(object.name, await this.#blobs.read(object.digest)))
    }
    const prepared = prepareTool(objects)
    this.#tools.set(key, prepared, 1)
    return prepared
  }

  async #kernel(btf: Sha256): Promise<KernelView> {
    const ready = this.#kernels.get(btf)
    if (ready !== undefined) return ready
    const view = new KernelView(parseBtf(await this.#blobs.read(btf)))
    this.#kernels.set(btf, view, 1)
    return view
  }

  /** A store that takes no writes, or a tool that was removed meanwhile, does not take the answer away. */
  async #keep(tool: Tool, btf: Sha256, key: string, bytes: Uint8Array): Promise<Content> {
    try {
      const ref = await this.#blobs.put(bytes)
      await this.#catalog.putMinBtf(tool.id, btf, ref)
      return blobContent(this.#blobs, ref)
    } catch (err) {
      if (!(err instanceof StoreError)) throw err
      this.#log.warn(
        { tool: formatTool(tool), btf, err: describeError(err) },
        'a min BTF could not be stored',
      )
    }
    const content = memoryContent(bytes)
    this.#kept.set(key, content, content.sizeBytes)
    this.#kept.set(content.digest, content, content.sizeBytes)
    return content
  }
}
