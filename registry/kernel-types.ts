import { setTimeout as sleep } from 'node:timers/promises'
import type { Sha256 } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { RecentCache } from '../core/recent-cache.ts'
import type { KernelEntry } from '../core/resolve/kernel-index.ts'
import { type BlobStore, type Build, type Catalog, StoreError } from '../store/index.ts'
import { blobContent, type Content, memoryContent } from './content.ts'
import { RegistryError } from './errors.ts'
import { type TypeText, TypeThread } from './type-thread.ts'

/** A type over many kernels. */
export interface TypeOverKernels {
  /** By how many kernels have them, most first. */
  readonly layouts: readonly (TypeText & { readonly kernels: readonly KernelEntry<Build>[] })[]
  /** Kernels that do not have the type. */
  readonly without: readonly KernelEntry<Build>[]
  /** Kernels that were not looked at yet. */
  readonly pending: number
}

/** Questions that are being worked on. */
const MAX_UNDER_WAY = 16
/** A question about all kernels waits so long; who asks again finds what was looked at in between. */
const WAIT_MS = 500
/** Kernels are looked at for a question about all of them until nobody has asked it for so long. */
const MAX_UNASKED_MS = 60_000
/** What is remembered of types: a layout has some hundred bytes to some ten thousand, and most kernels share few. */
const MAX_TEXT_BYTES = 32 * 1024 * 1024
const OVERHEAD_BYTES = 200
/** The name under which a header is kept as a form of its BTF. */
const HEADER_FORM = 'vmlinux.h'

/** A look at kernels for a type, which goes on while nobody waits for it. */
interface Scan {
  readonly builds: Map<Sha256, Build>
  askedAt: number
  failure: Error | null
  readonly done: Promise<void>
}

/**
 * Types of kernels as text: a whole header, one type of one kernel, one type over all kernels. What there is to be read
 * and written is done in one thread, so that other requests are answered meanwhile.
 */
export class KernelTypes {
  readonly #catalog: Catalog
  readonly #blobs: BlobStore
  readonly #waitMs: number
  readonly #thread: TypeThread
  readonly #headers = new Map<Sha256, Promise<Content>>()
  readonly #scans = new Map<string, Scan>()
  /** Looks at one type of one kernel. */
  readonly #looks = new Map<string, Promise<TypeText | null>>()
  /** By layout digest of the kernel and name; null where the kernel has no such type. */
  readonly #layouts = new RecentCache<Sha256 | null>(MAX_TEXT_BYTES)
  readonly #texts = new RecentCache<string>(MAX_TEXT_BYTES)
  #isClosed = false

  constructor(parts: {
    readonly catalog: Catalog
    readonly blobs: BlobStore
    readonly typeWaitMs?: number | undefined
  }) {
    this.#catalog = parts.catalog
    this.#blobs = parts.blobs
    this.#waitMs = parts.typeWaitMs ?? WAIT_MS
    this.#thread = new TypeThread(parts.blobs)
  }

  /** How many questions are being worked on. */
  get waiting(): number {
    return this.#headers.size + this.#scans.size + this.#looks.size
  }

  /** Begins no more, and waits for what is being made. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled([
      ...this.#headers.values(),
      ...this.#looks.values(),
      ...[...this.#scans.values()].map(({ done }) => done),
    ])
    await this.#thread.close()
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
    if (known !== undefined) return known
    const key = keyOf(build, name)
    const underWay = this.#looks.get(key)
    if (underWay !== undefined) return underWay
    this.#checkFree()
    const looking = this.#read(build, name).finally(() => this.#looks.delete(key))
    this.#looks.set(key, looking)
    return looking
  }

  /**
   * A type over these kernels, of each its newest build. Kernels that are alike cost one look together; what was not
   * looked at within a short while is `pending`, and being looked at until the next time. Throws the same.
   */
  async over(entries: readonly KernelEntry<Build>[], name: string): Promise<TypeOverKernels> {
    const newest = entries.flatMap((entry) => (entry.builds[0] === undefined ? [] : [entry.builds[0]]))
    const unknown = newest.filter((build) => this.#remembered(build, name) === undefined)
    if (unknown.length > 0) await this.#wait(this.#scan(unknown, name))
    const found = new Map<Sha256, { readonly text: TypeText; readonly kernels: KernelEntry<Build>[] }>()
    const without: KernelEntry<Build>[] = []
    let pending = 0
    for (const entry of entries) {
      const [build] = entry.builds
      if (build === undefined) continue
      const text = this.#remembered(build, name)
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
  }

  /** The look that is under way for a name, with these builds added to it, or a new one. */
  #scan(builds: readonly Build[], name: string): Scan {
    const known = this.#scans.get(name)
    if (known === undefined) this.#checkFree()
    const wanted = known?.builds ?? new Map<Sha256, Build>()
    for (const build of builds) wanted.set(build.layoutDigest, build)
    if (known !== undefined) {
      known.askedAt = performance.now()
      return known
    }
    const scan: Scan = {
      builds: wanted,
      askedAt: performance.now(),
      failure: null,
      done: Promise.resolve().then(() => this.#look(scan, name)),
    }
    this.#scans.set(name, scan)
    return scan
  }

  async #look(scan: Scan, name: string): Promise<void> {
    try {
      for (const [layout, build] of scan.builds) {
        if (this.#isClosed || performance.now() > scan.askedAt + MAX_UNASKED_MS) return
        if (this.#remembered(build, name) === undefined) await this.#read(build, name)
        scan.builds.delete(layout)
      }
    } catch (err) {
      scan.failure = err instanceof Error ? err : new Error(String(err))
    } finally {
      this.#scans.delete(name)
    }
  }

  /** Throws what a look failed with, where it ends so soon. */
  async #wait(scan: Scan): Promise<void> {
    const late = new AbortController()
    await Promise.race([
      scan.done,
      sleep(this.#waitMs, undefined, { signal: late.signal }).catch(() => undefined),
    ])
    late.abort()
    if (scan.failure !== null) throw scan.failure
  }

  /** `own`: how many of those that are under way are the caller's. */
  #checkFree(own = 0): void {
    if (this.#isClosed) throw new RegistryError('UNAVAILABLE', 'this hub is stopping')
    if (this.waiting - own < MAX_UNDER_WAY) return
    throw new RegistryError(
      'BUSY',
      `${this.waiting} questions about types are being worked on before this one`,
    )
  }

  async #findHeader(btf: Sha256): Promise<Content> {
    const known = await this.#catalog.derived(btf, HEADER_FORM)
    if (known !== null && (await this.#blobs.size(known.digest)) !== null)
      return blobContent(this.#blobs, known)
    this.#checkFree(1)
    const bytes = await this.#thread.header(btf)
    try {
      const ref = await this.#blobs.put(bytes)
      await this.#catalog.putDerived(btf, HEADER_FORM, ref)
      return blobContent(this.#blobs, ref)
    } catch (err) {
      if (!(err instanceof StoreError)) throw err
      return memoryContent(bytes)
    }
  }

  /** Undefined where it has to be read. Kernels of one layout have the same types. */
  #remembered(build: Build, name: string): TypeText | null | undefined {
    const layout = this.#layouts.get(keyOf(build, name))
    if (layout === undefined || layout === null) return layout
    const c = this.#texts.get(layout)
    return c === undefined ? undefined : { layout, c }
  }

  async #read(build: Build, name: string): Promise<TypeText | null> {
    const text = await this.#thread.type(build.btf.digest, name)
    this.#layouts.set(keyOf(build, name), text?.layout ?? null, OVERHEAD_BYTES)
    if (text !== null) this.#texts.set(text.layout, text.c, text.c.length + OVERHEAD_BYTES)
    return text
  }
}

function keyOf(build: Build, name: string): string {
  return `${build.layoutDigest} ${name}`
}

/** The name of a type, with its keyword where one is said. Throws RegistryError `BAD_REQUEST`. */
export function parseTypeName(text: string): string {
  const name = text.trim().replace(/\s+/g, ' ')
  if (/^(?:(?:struct|union|enum) )?[A-Za-z_]\w*$/.test(name) && name.length <= limits.request.maxNameLength)
    return name
  throw new RegistryError('BAD_REQUEST', 'type: expected a name like task_struct or struct sock')
}
