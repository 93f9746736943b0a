import { join } from 'node:path'
import { sha256Of, type Sha256 } from '../core/digest.ts'
import { packageRoot } from '../core/version.ts'
import { MinimizeError, Threads } from '../minimize/index.ts'
import { type BlobStore, StoreError } from '../store/index.ts'
import { RegistryError } from './errors.ts'

/** A type as C, with offsets and sizes. */
export interface TypeText {
  /** sha256 of `c`: kernels that share it have the type laid out alike. */
  readonly layout: Sha256
  readonly c: string
}

/** To the thread: a BTF, and one of its types or all of them as a header. */
export interface TypeTask {
  readonly digest: Sha256
  readonly bytes: Uint8Array
  readonly name: string | null
}

/** From it: the text, null where there is no such type. */
export type TypeAnswer =
  | { readonly text: string | null }
  | { readonly unfit: string }
  /** Its sha256, which is not what it should be. */
  | { readonly corrupt: Sha256 }

/** Threads run compiled code, also when this is run from the sources. */
const FILE = join(packageRoot, 'dist/registry/type-worker.js')
/** A whole header of the largest kernel takes some 3 s. */
const TIMEOUT_MS = 60_000

/**
 * Reads types out of BTF in a thread of its own: loading one takes some 50 ms, in which nobody else would be answered.
 * One at a time.
 */
export class TypeThread {
  readonly #blobs: BlobStore
  readonly #threads = new Threads<TypeTask, TypeAnswer>(FILE, { threads: 1, timeoutMs: TIMEOUT_MS })

  constructor(blobs: BlobStore) {
    this.#blobs = blobs
  }

  /** Null where the BTF has no type of that name. Throws RegistryError `TOOL_UNFIT`, StoreError. */
  async type(btf: Sha256, name: string): Promise<TypeText | null> {
    const c = await this.#ask(btf, name)
    return c === null ? null : { layout: sha256Of(c), c }
  }

  /** All types. Throws the same. */
  async header(btf: Sha256): Promise<Uint8Array> {
    return Buffer.from((await this.#ask(btf, null)) ?? '')
  }

  close(): Promise<void> {
    return this.#threads.close()
  }

  async #ask(digest: Sha256, name: string | null): Promise<string | null> {
    // The thread checks the digest: hashing costs some 10 ms as well.
    const chunks: Uint8Array[] = []
    for await (const chunk of await this.#blobs.open(digest)) chunks.push(chunk as Uint8Array)
    const answer = await this.#run({ digest, bytes: Buffer.concat(chunks), name })
    if ('text' in answer) return answer.text
    if ('unfit' in answer) throw unfit(answer.unfit)
    throw new StoreError('CORRUPT', `blob ${digest}: its bytes have sha256 ${answer.corrupt}`)
  }

  async #run(task: TypeTask): Promise<TypeAnswer> {
    try {
      return await this.#threads.run(task)
    } catch (err) {
      if (!(err instanceof MinimizeError)) throw err
      throw unfit(err.message, err)
    }
  }
}

function unfit(why: string, cause?: unknown): RegistryError {
  return new RegistryError('TOOL_UNFIT', `this BTF cannot be shown as C: ${why}`, { cause })
}
