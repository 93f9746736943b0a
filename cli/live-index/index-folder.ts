import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { parseSha256, sha256Of, type Sha256 } from '../../core/digest.ts'
import { withTempFile, writeFileAtomic } from '../../core/temp-file.ts'
import { removeStaleTempFiles } from '../../store/index.ts'

const zip = promisify(gzip)

/** Documents that no index names any more stay so long: who has just read an index is about to ask for them. */
const GRACE_MS = 10 * 60_000

/** A document and the same in gzip. */
export interface KeptDocument {
  readonly plain: Uint8Array
  readonly gzip: Uint8Array
}

/**
 * The signed index of a hub that runs, on disk: `signed.json`, and the documents that it names below `documents/` by
 * their digests, each also as `.gz`. So a hub that starts again has it at once, and several on one data folder have the
 * same. Every file appears whole.
 */
export class IndexFolder {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** The signed text, and what tells it from another; null where there is none yet. Throws what the disk throws. */
  async signed(): Promise<{ readonly text: string; readonly mark: string } | null> {
    const mark = await this.mark()
    const text = mark === null ? null : await orNull(readFile(this.#signedPath, 'utf8'))
    return text === null || mark === null ? null : { text, mark }
  }

  /** Changes whenever the signed text does; null where there is none. */
  async mark(): Promise<string | null> {
    const stats = await orNull(stat(this.#signedPath))
    return stats === null ? null : `${stats.ino} ${stats.mtimeMs} ${stats.size}`
  }

  /** Replaces the signed text: from then on this is the index. */
  async sign(text: string): Promise<void> {
    await writeFileAtomic(this.#signedPath, text)
  }

  /** Keeps a document, its gzip first: where the plain one is, both are. */
  async keep(bytes: Uint8Array): Promise<Sha256> {
    const digest = sha256Of(bytes)
    if (!(await this.has(digest))) {
      await this.#write(`${this.#document(digest)}.gz`, await zip(bytes))
      await this.#write(this.#document(digest), bytes)
    }
    return digest
  }

  /** Not flushed, as there are hundreds at a time: one that a power cut takes is found damaged, and made again. */
  async #write(path: string, bytes: Uint8Array): Promise<void> {
    await withTempFile(join(this.path, 'tmp'), async (temp) => {
      await writeFile(temp, bytes, { flag: 'wx' })
      await rename(temp, path)
    })
  }

  async has(digest: Sha256): Promise<boolean> {
    return (await orNull(stat(this.#document(digest)))) !== null
  }

  /**
   * A document with its gzip, checked; null where it is not there. One that is `damaged` is removed, so that the next
   * making of an index makes it again. Throws what the disk throws.
   */
  async read(digest: Sha256): Promise<KeptDocument | 'damaged' | null> {
    const path = this.#document(digest)
    const [plain, zipped] = await Promise.all([orNull(readFile(path)), orNull(readFile(`${path}.gz`))])
    if (plain === null || zipped === null) return null
    if (sha256Of(plain) === digest) return { plain, gzip: zipped }
    await rm(path, { force: true })
    return 'damaged'
  }

  /** Removes documents that no index has named for a while; `named` are those of the one in force. */
  async collect(named: ReadonlySet<Sha256>, now: Date): Promise<void> {
    const before = await this.#unnamedSince()
    const unnamed: Record<string, number> = {}
    for (const digest of await this.#digests()) {
      if (named.has(digest)) continue
      const since = before[digest] ?? now.getTime()
      if (now.getTime() - since < GRACE_MS) unnamed[digest] = since
      else {
        await rm(this.#document(digest), { force: true })
        await rm(`${this.#document(digest)}.gz`, { force: true })
      }
    }
    await writeFileAtomic(this.#unnamedPath, JSON.stringify(unnamed))
  }

  /** Makes the folder where it is not there, and clears it of what killed processes left. */
  async prepare(): Promise<void> {
    await mkdir(join(this.path, 'documents'), { recursive: true })
    for (const dir of [this.path, join(this.path, 'tmp')]) await removeStaleTempFiles(dir)
  }

  async #digests(): Promise<ReadonlySet<Sha256>> {
    const names = await readdir(join(this.path, 'documents'))
    const digests = names.map((name) => parseSha256(name.replace(/\.gz$/, '')))
    return new Set(digests.filter((digest) => digest !== null))
  }

  /** What was not named any more when the last index was made, and since when. A list that is lost begins anew. */
  async #unnamedSince(): Promise<Readonly<Record<string, number>>> {
    try {
      return JSON.parse(await readFile(this.#unnamedPath, 'utf8')) as Record<string, number>
    } catch {
      return {}
    }
  }

  get #signedPath(): string {
    return join(this.path, 'signed.json')
  }

  get #unnamedPath(): string {
    return join(this.path, 'unnamed.json')
  }

  #document(digest: Sha256): string {
    return join(this.path, 'documents', digest)
  }
}

async function orNull<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw err
  }
}
