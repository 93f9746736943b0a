import { availableParallelism } from 'node:os'
import { sha256Of, type Sha256 } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { RecentCache } from '../core/recent-cache.ts'
import {
  MinimizeError,
  type MinimizePool,
  openMinimizePool,
  type PoolCheck,
  type PoolTool,
} from '../minimize/index.ts'
import type { BlobStore } from '../store/index.ts'
import { type Content, memoryContent } from './content.ts'
import { RegistryError } from './errors.ts'
import type { UploadedObject } from './uploads.ts'

/** Kernels of all requests that may wait for a thread. */
const MAX_WAITING = 100
/** Pairs of objects and kernel that are known to give no min BTF. */
const MAX_UNFIT = 4096
/** Min BTF of objects that somebody sent. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024
/** Requests hold a thread for a while: one core is left to answer. */
const THREADS = Math.max(1, availableParallelism() - 1)

/** Objects that somebody sent, as threads take them; `key` is equal for equal requests. */
export interface ObjectSet {
  readonly key: string
  readonly tool: PoolTool
}

/** Names are in the key because refusals have them, and are nobody else's business. */
export function toObjectSet(objects: readonly UploadedObject[]): ObjectSet {
  const parts = objects.map(({ name, digest }) => `${digest} ${name}`)
  return { key: sha256Of(parts.join('\n')), tool: { objects } }
}

/**
 * Work on objects that no tool of this hub has: in threads, each kernel within a time, so that no object can keep the
 * hub from answering others.
 */
export class ObjectMins {
  readonly #blobs: BlobStore
  readonly #underWay = new Map<string, Promise<Content>>()
  readonly #unfit = new RecentCache<RegistryError>(MAX_UNFIT)
  readonly #kept = new RecentCache<Content>(MAX_KEPT_BYTES)
  #pool: MinimizePool | null = null
  #made = 0
  #isClosed = false

  constructor({ blobs }: { readonly blobs: BlobStore }) {
    this.#blobs = blobs
  }

  /** How many min BTF were made since the start. */
  get made(): number {
    return this.#made
  }

  /** Kernels that are worth having ready for the threads. */
  get concurrency(): number {
    return THREADS + 1
  }

  /**
   * Min BTF of objects, kept in memory for a while: whoever sends the same objects for the same kernel is answered from
   * there. Throws RegistryError `TOOL_UNFIT`, `BUSY`, StoreError.
   */
  async get(set: ObjectSet, btf: Sha256): Promise<Content> {
    const key = `${set.key} ${btf}`
    const ready = this.#kept.get(key) ?? this.#underWay.get(key)
    if (ready !== undefined) return ready
    const unfit = this.#unfit.get(key)
    if (unfit !== undefined) throw unfit
    const making = this.#cut(set, btf)
      .then((bytes) => {
        const content = memoryContent(bytes)
        this.#kept.set(key, content, content.sizeBytes)
        return content
      })
      .catch((err: unknown) => {
        if (err instanceof RegistryError && err.code === 'TOOL_UNFIT') this.#unfit.set(key, err, 1)
        throw err
      })
      .finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, making)
    return making
  }

  /** What of the objects fails or is guarded on a kernel. Throws as {@link get} does. */
  async check({ tool }: ObjectSet, btf: Sha256): Promise<PoolCheck & { readonly ok: true }> {
    const kernel = await this.#blobs.read(btf)
    const check = await inTime(this.#threads().check(kernel, tool, { isBrief: true }))
    if (!check.ok) throw refused(check)
    return check
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#pool?.close()
    await Promise.allSettled(this.#underWay.values())
  }

  async #cut({ tool }: ObjectSet, btf: Sha256): Promise<Uint8Array> {
    const kernel = await this.#blobs.read(btf)
    const [cut] = await inTime(this.#threads().cut(kernel, [tool]))
    if (cut === undefined) throw new TypeError('a pool gives one min BTF for each tool')
    if (!cut.ok) throw refused(cut)
    this.#made++
    return cut.bytes
  }

  /** They start with the first objects that anybody sends. */
  #threads(): MinimizePool {
    if (this.#isClosed) throw new RegistryError('UNAVAILABLE', 'this hub is stopping')
    this.#pool ??= openMinimizePool({ threads: THREADS, timeoutMs: limits.request.maxCutMs })
    if (this.#pool.waiting >= MAX_WAITING) {
      throw new RegistryError('BUSY', `${this.#pool.waiting} kernels are waited for by who sent objects`)
    }
    return this.#pool
  }
}

/** A thread that had to be ended says of the objects what a refusal says. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (err) {
    throw err instanceof MinimizeError ? refused(err) : err
  }
}

/** What is wrong with the objects is told; that a min BTF is not what it should be is a defect of ours. */
function refused({ code, message }: Pick<MinimizeError, 'code' | 'message'>): Error {
  return code === 'DIFFERS'
    ? new MinimizeError(code, message)
    : new RegistryError('TOOL_UNFIT', `the objects: ${message}`)
}
