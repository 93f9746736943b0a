import { availableParallelism } from 'node:os'
import { Readable } from 'node:stream'
import PQueue from 'p-queue'
import { sha256Of, type Sha256 } from '../core/digest.ts'
import { RecentCache } from '../core/recent-cache.ts'
import { type CompatForm, makeForm, type DerivedForm } from './forms/index.ts'
import { StoreError, type BlobRef, type BlobStore, type Catalog, type StoreErrorCode } from './types.ts'

/** A form of a blob, ready to be sent. */
export interface DerivedBlob extends BlobRef {
  /** Whole and checked. */
  read(): Promise<Uint8Array>
  /** A part, for ranges. `end` is exclusive. */
  open(range?: { readonly start: number; readonly end: number }): Promise<Readable>
}

/** Forms of blobs (compressed, in a tar, in an ELF), made once and kept as blobs. */
export interface Derived {
  /**
   * The form of a blob, made now where it was not or where what was made is damaged. Many askers at once cost one
   * making; as many as there are cores are made at once. Where the store takes no writes it is kept in memory. Throws
   * `NOT_FOUND` and `CORRUPT` of the blob itself, `TOOL` where xz is missing or fails.
   */
  get(from: Sha256, form: DerivedForm): Promise<DerivedBlob>
  /** The same of a form that `make` makes, always the same bytes of the same. Throws what that throws too. */
  getMade(from: Sha256, form: CompatForm, make: Make): Promise<DerivedBlob>
  /** A form that could not be stored, by its digest; null where there is none. */
  kept(digest: Sha256): DerivedBlob | null
  /** Waits for what is being made. */
  settle(): Promise<void>
}

/** Makes the bytes of a form. */
export type Make = () => Promise<Uint8Array>

/** Forms whose bytes this process has seen whole, so that they are streamed without another look. */
const MAX_VERIFIED = 20_000
/** What is kept of forms that cannot be stored. */
const MAX_MEMORY_BYTES = 64 * 1024 * 1024

/** Why a store did not keep a form that is good nevertheless. */
const NOT_KEPT: readonly StoreErrorCode[] = ['READ_ONLY', 'IO', 'BUSY']
const DAMAGED: readonly StoreErrorCode[] = ['NOT_FOUND', 'CORRUPT']

/** Forms of the blobs in `blobs`, remembered in `catalog`. */
export function createDerived(store: { readonly blobs: BlobStore; readonly catalog: Catalog }): Derived {
  return new DerivedForms(store.blobs, store.catalog)
}

type AnyForm = DerivedForm | CompatForm

class DerivedForms implements Derived {
  readonly #blobs: BlobStore
  readonly #catalog: Catalog
  readonly #queue = new PQueue({ concurrency: availableParallelism() })
  readonly #underWay = new Map<string, Promise<DerivedBlob>>()
  readonly #verified = new RecentCache<BlobRef>(MAX_VERIFIED)
  readonly #memory = new RecentCache<DerivedBlob>(MAX_MEMORY_BYTES)

  constructor(blobs: BlobStore, catalog: Catalog) {
    this.#blobs = blobs
    this.#catalog = catalog
  }

  get(from: Sha256, form: DerivedForm): Promise<DerivedBlob> {
    return this.#take(from, form, async () => makeForm(form, await this.#read(from)))
  }

  getMade(from: Sha256, form: CompatForm, make: Make): Promise<DerivedBlob> {
    return this.#take(from, form, make)
  }

  kept(digest: Sha256): DerivedBlob | null {
    return this.#memory.get(digest) ?? null
  }

  async #take(from: Sha256, form: AnyForm, make: Make): Promise<DerivedBlob> {
    const first = await this.#obtain(from, form, make)
    // Somebody may remove or damage the blob before it is read: then it is made again, once.
    const take = async <T>(part: (blob: DerivedBlob) => Promise<T>): Promise<T> => {
      try {
        return await part(first)
      } catch (err) {
        if (!hasCode(err, DAMAGED)) throw err
        this.#verified.delete(keyOf(from, form))
        const again = await this.#obtain(from, form, make)
        if (again.digest !== first.digest) throw err
        return part(again)
      }
    }
    return {
      digest: first.digest,
      sizeBytes: first.sizeBytes,
      read: () => take((blob) => blob.read()),
      open: (range) => take((blob) => blob.open(range)),
    }
  }

  async settle(): Promise<void> {
    await Promise.allSettled(this.#underWay.values())
  }

  async #obtain(from: Sha256, form: AnyForm, make: Make): Promise<DerivedBlob> {
    const key = keyOf(from, form)
    const verified = this.#verified.get(key)
    if (verified !== undefined) return this.#stored(verified)
    const ready = this.#memory.get(key) ?? this.#underWay.get(key)
    if (ready !== undefined) return ready
    const work = this.#findOrMake(from, form, make).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, work)
    return work
  }

  async #findOrMake(from: Sha256, form: AnyForm, make: Make): Promise<DerivedBlob> {
    const known = await this.#catalog.derived(from, form)
    if (known !== null && (await this.#isWhole(known.digest))) {
      this.#verified.set(keyOf(from, form), known, 1)
      return this.#stored(known)
    }
    const bytes = await this.#queue.add(make)
    return this.#keep(from, form, bytes)
  }

  /** Whether a blob is there and good; a damaged one is removed, so that putting it again replaces it. */
  async #isWhole(digest: Sha256): Promise<boolean> {
    try {
      await this.#blobs.read(digest)
      return true
    } catch (err) {
      if (!hasCode(err, DAMAGED)) throw err
    }
    await this.#blobs.remove(digest).catch(unless(NOT_KEPT))
    return false
  }

  /** What a form is made of: a blob, or a form that could not be stored. */
  #read(from: Sha256): Promise<Uint8Array> {
    return this.kept(from)?.read() ?? this.#blobs.read(from)
  }

  async #keep(from: Sha256, form: AnyForm, bytes: Uint8Array): Promise<DerivedBlob> {
    const key = keyOf(from, form)
    try {
      const ref = await this.#blobs.put(bytes)
      await this.#catalog.putDerived(from, form, ref)
      this.#verified.set(key, ref, 1)
      return this.#stored(ref)
    } catch (err) {
      unless(NOT_KEPT)(err)
    }
    const made = inMemory(bytes)
    this.#memory.set(key, made, made.sizeBytes)
    this.#memory.set(made.digest, made, 0)
    return made
  }

  #stored(ref: BlobRef): DerivedBlob {
    return {
      digest: ref.digest,
      sizeBytes: ref.sizeBytes,
      read: () => this.#blobs.read(ref.digest),
      open: (range) => this.#blobs.open(ref.digest, range),
    }
  }
}

function inMemory(bytes: Uint8Array): DerivedBlob {
  return {
    digest: sha256Of(bytes),
    sizeBytes: bytes.byteLength,
    read: async () => bytes.slice(),
    open: async (range) => Readable.from([Buffer.from(bytes.subarray(range?.start, range?.end))]),
  }
}

function keyOf(from: Sha256, form: AnyForm): string {
  return `${from} ${form}`
}

function hasCode(err: unknown, codes: readonly StoreErrorCode[]): boolean {
  return err instanceof StoreError && codes.includes(err.code)
}

/** Throws an error on, unless it is one of those. */
function unless(codes: readonly StoreErrorCode[]): (err: unknown) => void {
  return (err) => {
    if (!hasCode(err, codes)) throw err
  }
}
