import { setImmediate } from 'node:timers/promises'
import PQueue from 'p-queue'
import { BtfError, formatHeader, formatType, loadBtf } from '../btf/index.ts'
import { sha256Of, type Sha256 } from '../core/digest.ts'
import type { KernelEntry } from '../core/resolve/kernel-index.ts'
import { limits } from '../core/limits.ts'
import { RecentCache } from '../core/recent-cache.ts'
import { type BlobStore, type Build, type Catalog, StoreError } from '../store/index.ts'
import { blobContent, type Content, memoryContent } from './content.ts'
import { RegistryError } from './errors.ts'

/** A type as C, with offsets and sizes. */
export interface TypeText {
  /** sha256 of `c`: kernels that share it have the type laid out alike. */
  readonly layout: Sha256
  readonly c: string
}

/** A type over many kernels. */
export interface TypeOverKernels {
  /** By how many kernels have them, most first. */
  readonly layouts: readonly (TypeText & { readonly kernels: readonly KernelEntry<Build>[] })[]
  /** Kernels that do not have the type. */
  readonly without: readonly KernelEntry<Build>[]
  /** Kernels that were not looked at yet. */
  readonly pending: number
}

/** Requests that wait for their turn; each computes for some seconds at most. */
const MAX_WAITING = 16
/** One request looks at kernels for so long; the next goes on from there. */
const BUDGET_MS = 2000
/** Lines of a header between which requests are answered. */
const LINES_AT_ONCE = 500
/** What is remembered of types: a layout has some hundred bytes to some ten thousand, and most kernels share few. */
const MAX_TEXT_BYTES = 32 * 1024 * 1024
const OVERHEAD_BYTES = 200
/** The name under which a header is kept as a form of its BTF. */
const HEADER_FORM = 'vmlinux.h'

/** Types of kernels as text: a whole header, one type of one kernel, one type over all kernels. One at a time. */
export class KernelTypes {
  readonly #catalog: Catalog
  readonly #blobs: BlobStore
  readonly #queue = new PQueue({ concurrency: 1 })
  readonly #headers = new Map<Sha256, Promise<Content>>()
  /** By layout digest of the kernel and name; null where the kernel has no such type. */
  readonly #layouts = new RecentCache<Sha256 | null>(MAX_TEXT_BYTES)
  readonly #texts = new RecentCache<string>(MAX_TEXT_BYTES)

  constructor(parts: { readonly catalog: Catalog; readonly blobs: BlobStore }) {
    this.#catalog = parts.catalog
    this.#blobs = parts.blobs
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.#queue.size
  }

  /** Waits for what is being made. */
  async settle(): Promise<void> {
    await this.#queue.onIdle()
  }

  /** All types of a BTF as a C header, kept once it is made. Throws RegistryError `BUSY`, `TOOL_UNFIT`, StoreError. */
  header(btf: Sha256): Promise<Content> {
    const underWay = this.#headers.get(btf)
    if (underWay !== undefined) return underWay
    const making = this.#findHeader(btf).finally(() => this.#headers.delete(btf))
    this.#headers.set(btf, making)
    return making
  }

  /** A type of one build; null where it has none of that name. Throws the same. */
  async type(build: Build, name: string): Promise<TypeText | null> {
    const known = this.#remembered(build, name)
    return known === undefined ? this.#inTurn(() => this.#read(build, name)) : known
  }

  /**
   * A type over these kernels, of each its newest build. Kernels that are alike cost one look together; what was not
   * looked at in the time that one request gets is `pending`, and there the next time. Throws the same.
   */
  async over(entries: Iterable<KernelEntry<Build>>, name: string): Promise<TypeOverKernels> {
    return this.#inTurn(async () => {
      const found = new Map<Sha256, { readonly text: TypeText; readonly kernels: KernelEntry<Build>[] }>()
      const without: KernelEntry<Build>[] = []
      let pending = 0
      const until = performance.now() + BUDGET_MS
      for (const entry of entries) {
        const [build] = entry.builds
        if (build === undefined) continue
        let text = this.#remembered(build, name)
        if (text === undefined && performance.now() < until) {
          text = await this.#read(build, name)
          await setImmediate()
        }
        if (text === undefined) pending++
        else if (text === null) without.push(entry)
        else {
          const group = found.get(text.layout) ?? { text, kernels: [] }
          group.kernels.push(entry)
          found.set(text.layout, group)
        }
      }
      const layouts = [...found.values()]
        .sort((a, b) => b.kernels.length - a.kernels.length)
        .map(({ text, kernels }) => ({ ...text, kernels }))
      return { layouts, without, pending }
    })
  }

  async #findHeader(btf: Sha256): Promise<Content> {
    const known = await this.#catalog.derived(btf, HEADER_FORM)
    if (known !== null && (await this.#blobs.size(known.digest)) !== null)
      return blobContent(this.#blobs, known)
    return this.#inTurn(async () => {
      const bytes = await this.#makeHeader(btf)
      try {
        const ref = await this.#blobs.put(bytes)
        await this.#catalog.putDerived(btf, HEADER_FORM, ref)
        return blobContent(this.#blobs, ref)
      } catch (err) {
        if (!(err instanceof StoreError)) throw err
        return memoryContent(bytes)
      }
    })
  }

  async #makeHeader(btf: Sha256): Promise<Uint8Array> {
    const parsed = loadBtf(await this.#blobs.read(btf))
    const parts: string[] = []
    let lines = 0
    for (const line of formatHeader(parsed)) {
      parts.push(line)
      if (++lines % LINES_AT_ONCE === 0) await setImmediate()
    }
    return Buffer.from(`${parts.join('\n')}\n`)
  }

  /** Undefined where it has to be read. Kernels of one layout have the same types. */
  #remembered(build: Build, name: string): TypeText | null | undefined {
    const layout = this.#layouts.get(`${build.layoutDigest} ${name}`)
    if (layout === undefined || layout === null) return layout
    const c = this.#texts.get(layout)
    return c === undefined ? undefined : { layout, c }
  }

  async #read(build: Build, name: string): Promise<TypeText | null> {
    const key = `${build.layoutDigest} ${name}`
    const c = formatType(loadBtf(await this.#blobs.read(build.btf.digest)), name)
    if (c === null) {
      this.#layouts.set(key, null, OVERHEAD_BYTES)
      return null
    }
    const layout = sha256Of(c)
    this.#layouts.set(key, layout, OVERHEAD_BYTES)
    this.#texts.set(layout, c, c.length + OVERHEAD_BYTES)
    return { layout, c }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#queue.size >= MAX_WAITING) {
      throw new RegistryError(
        'BUSY',
        `${this.#queue.size} requests for types are being worked on before this one`,
      )
    }
    return this.#queue.add(async () => {
      try {
        return await work()
      } catch (err) {
        if (!(err instanceof BtfError)) throw err
        throw new RegistryError('TOOL_UNFIT', `this BTF cannot be shown as C: ${err.message}`, { cause: err })
      }
    })
  }
}

/** The name of a type, with its keyword where one is said. Throws RegistryError `BAD_REQUEST`. */
export function parseTypeName(text: string): string {
  const name = text.trim().replace(/\s+/g, ' ')
  if (/^(?:(?:struct|union|enum) )?[A-Za-z_]\w*$/.test(name) && name.length <= limits.request.maxNameLength)
    return name
  throw new RegistryError('BAD_REQUEST', 'type: expected a name like task_struct or struct sock')
}
