import type { Sha256 } from '../core/digest.ts'
import { RecentCache } from '../core/recent-cache.ts'
import type { Content } from './content.ts'

export interface BodiesOptions {
  /** What is kept in memory. */
  readonly maxBytes: number
  /** Up to here a body is always read whole. */
  readonly smallBytes: number
  /** Larger bodies that are read whole at one time. */
  readonly maxLargeReads: number
}

/** A min BTF has 0.3 to 12 KB, a full one 3 to 6 MB: 128 MiB hold some thirty full ones, or all min BTF there is. */
export const defaultBodiesOptions: BodiesOptions = {
  maxBytes: 128 * 1024 * 1024,
  smallBytes: 256 * 1024,
  maxLargeReads: 4,
}

/** Digests of large bodies that are remembered as asked for once. */
const MAX_SEEN = 4096

/**
 * Bodies that are asked for often, in memory. Memory is bounded by the cache and a few reads under way: a large body
 * is only read whole when it is asked for again, everything else about it is streamed.
 */
export class Bodies {
  readonly #options: BodiesOptions
  readonly #ready: RecentCache<Buffer>
  readonly #seen = new RecentCache<true>(MAX_SEEN)
  readonly #underWay = new Map<Sha256, Promise<Buffer>>()
  #largeReads = 0

  constructor(options: BodiesOptions = defaultBodiesOptions) {
    this.#options = options
    this.#ready = new RecentCache(options.maxBytes)
  }

  get bytesHeld(): number {
    return this.#ready.weight
  }

  /** The whole body; null where it should be streamed. Throws what reading it throws. */
  async get(content: Content): Promise<Buffer | null> {
    const ready = this.#ready.get(content.digest) ?? this.#underWay.get(content.digest)
    if (ready !== undefined) return ready
    if (content.sizeBytes <= this.#options.smallBytes) return this.#read(content)
    const wanted = this.#seen.get(content.digest) === true && content.sizeBytes <= this.#ready.maxEntryWeight
    this.#seen.set(content.digest, true, 1)
    if (!wanted || this.#largeReads >= this.#options.maxLargeReads) return null
    this.#largeReads++
    try {
      return await this.#read(content)
    } finally {
      this.#largeReads--
    }
  }

  #read(content: Content): Promise<Buffer> {
    const reading = content
      .read()
      .then((bytes) => {
        const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        this.#ready.set(content.digest, body, body.byteLength)
        return body
      })
      .finally(() => this.#underWay.delete(content.digest))
    this.#underWay.set(content.digest, reading)
    return reading
  }
}
