import { setTimeout as sleep } from 'node:timers/promises'
import type { Sha256 } from '../../core/digest.ts'
import { describeError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { SigningKey } from '../../core/signed-index/index.ts'
import type { SignedIndex } from '../../registry/api.ts'
import {
  type IndexDocument,
  memoryContent,
  type PublishedIndex,
  type SignedText,
} from '../../registry/index.ts'
import type { Catalog } from '../../store/index.ts'
import type { IndexFolder } from './index-folder.ts'
import { leftMs, parseSigned, type Published, stampOf } from './publish.ts'

export interface LiveIndexParts {
  readonly catalog: Pick<Catalog, 'generation' | 'minChanges'>
  readonly folder: IndexFolder
  /** The keys that sign now; none where nothing is to be signed. */
  readonly keys: () => Promise<readonly SigningKey[]>
  /** Makes the index of now in the folder; null where another process is at it. */
  readonly publish: (signal: AbortSignal) => Promise<Published | null>
  readonly lifetimeMs: number
  readonly now: () => Date
  readonly log: Log
}

/** How often it is looked whether there is something new to be signed. */
const LOOK_EVERY_MS = 500
/** Making an index that took T is followed by no other within so many T, nor within a second: versions are seconds. */
const RESTS_PER_MAKING = 4
const MIN_REST_MS = 1000
/** After a failure, which the next try would most likely meet too. */
const REST_AFTER_FAILURE_MS = 15_000

/** Keeps the signed index of a hub up to date while others write to its catalog, and serves it. */
export class LiveIndex implements PublishedIndex {
  readonly #parts: LiveIndexParts
  readonly #stop = new AbortController()
  #current: (SignedText & { readonly mark: string; readonly index: SignedIndex }) | null = null
  #hasKeys = true
  /** What the index in force was made of. */
  #madeOf: string | null = null
  #isDamaged = false
  #nextAt = 0
  #running: Promise<void> | null = null

  constructor(parts: LiveIndexParts) {
    this.#parts = parts
  }

  /** Begins to look, until {@link close}. Throws where keys or the folder cannot be read now. */
  async start(): Promise<void> {
    await this.#adopt()
    this.#hasKeys = (await this.#parts.keys()).length > 0
    this.#running = this.#run()
  }

  async close(): Promise<void> {
    this.#stop.abort(new DOMException('the hub is stopping', 'AbortError'))
    await this.#running
  }

  current(): SignedText | 'unsigned' | 'making' {
    if (!this.#hasKeys) return 'unsigned'
    return this.#current ?? 'making'
  }

  async document(digest: Sha256): Promise<IndexDocument | null> {
    const found = await this.#parts.folder.read(digest)
    if (found !== null && found !== 'damaged') {
      return { plain: memoryContent(found.plain), gzip: memoryContent(found.gzip) }
    }
    // Made again, it is the same.
    const isNamed = this.#current !== null && namesOf(this.#current.index).has(digest)
    if (found === 'damaged' || isNamed) this.#isDamaged = true
    return null
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#look(signal)
      } catch (err) {
        if (signal.aborted) return
        this.#nextAt = performance.now() + REST_AFTER_FAILURE_MS
        this.#parts.log.warn({ err: describeError(err) }, 'the signed index could not be brought up to date')
      }
      await sleep(LOOK_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined)
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { catalog, keys, publish, lifetimeMs, now, log } = this.#parts
    const names = (await keys()).map((key) => key.publicKey).join()
    this.#hasKeys = names !== ''
    if (!this.#hasKeys) return
    await this.#adopt()
    const isOld = this.#current !== null && leftMs(this.#current.index, now()) < lifetimeMs / 2
    const isMade = this.#madeOf === `${names} ${await stampOf(catalog)}` && !this.#isDamaged && !isOld
    if (isMade || performance.now() < this.#nextAt) return
    const start = performance.now()
    this.#isDamaged = false
    const published = await publish(signal)
    const tookMs = performance.now() - start
    this.#nextAt = performance.now() + Math.max(MIN_REST_MS, RESTS_PER_MAKING * tookMs)
    if (published === null) return
    this.#madeOf = `${names} ${published.stamp}`
    await this.#adopt()
    log.debug({ version: published.version, ms: tookMs }, 'the signed index is up to date')
  }

  /** Takes what is in the folder, whoever put it there. What is damaged is made anew. */
  async #adopt(): Promise<void> {
    const { folder, log } = this.#parts
    if ((await folder.mark()) === (this.#current?.mark ?? null)) return
    const signed = await folder.signed()
    const index = signed === null ? null : parseSigned(signed.text)
    if (signed === null || index === null) {
      if (signed !== null) log.warn({ folder: folder.path }, 'the signed index is damaged: it is made anew')
      this.#current = null
      this.#madeOf = null
      return
    }
    const text = Buffer.from(signed.text)
    this.#current = { text, mark: signed.mark, index, createdAt: new Date(index.created_at) }
  }
}

function namesOf({ tool_list, release_shards, build_id_shards }: SignedIndex): ReadonlySet<string> {
  return new Set([tool_list, ...release_shards, ...build_id_shards])
}
