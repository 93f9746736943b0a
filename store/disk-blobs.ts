import { link, mkdir, open, readdir, readFile, rename, stat, utimes, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { parseSha256, sha256Of, type Sha256 } from '../core/digest.ts'
import { syncDirectory, withTempFile } from '../core/temp-file.ts'
import { checkDigest, notFound } from './blob-checks.ts'
import { NO_LINKS, publish, statOrNull } from './files.ts'
import { errnoOf, readError, writeError } from './io-errors.ts'
import { removeStaleTempFiles } from './temp-files.ts'
import { StoreError, type BlobRef, type BlobStore, type StoredBlob } from './types.ts'

/** The format's version is in the folder's name, so that another format can live beside it. */
const FORMAT = 'blobs-v1'

/** Where {@link openDiskBlobs} keeps what is not whole yet. */
export function blobTempDir(dir: string): string {
  return join(dir, FORMAT, 'tmp')
}

/**
 * Blobs as files, `blobs-v1/sha256/ab/cd/<hex>` under `dir`, each written to a temporary file, flushed, and then
 * linked to its name: whoever sees a name sees all of its bytes, after a kill or a power cut too. Any number of
 * processes may use one folder. What dead processes left behind is removed here. Throws `IO` and `READ_ONLY`.
 */
export async function openDiskBlobs(dir: string, options: { readOnly?: boolean } = {}): Promise<BlobStore> {
  const root = join(dir, FORMAT, 'sha256')
  if (options.readOnly !== true) {
    try {
      await mkdir(root, { recursive: true })
      await mkdir(blobTempDir(dir), { recursive: true })
      for (const parent of [join(dir, FORMAT), dir, dirname(dir)]) await syncDirectory(parent)
    } catch (err) {
      throw writeError(`making the blob folder ${dir}`, err)
    }
    await removeStaleTempFiles(blobTempDir(dir))
  }
  return new DiskBlobs(root, blobTempDir(dir), options.readOnly === true)
}

class DiskBlobs implements BlobStore {
  readonly #root: string
  readonly #tempDir: string
  readonly #readOnly: boolean
  /** Folders whose own names this process has made durable. */
  readonly #durable = new Set<string>()

  constructor(root: string, tempDir: string, readOnly: boolean) {
    this.#root = root
    this.#tempDir = tempDir
    this.#readOnly = readOnly
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const ref = { digest: sha256Of(bytes), sizeBytes: bytes.byteLength }
    this.#checkWritable(`putting blob ${ref.digest}`)
    const path = this.#path(ref.digest)
    try {
      await this.#makeFolders(dirname(path))
      if (!(await touch(path, ref.sizeBytes))) await this.#write(path, bytes)
      // Also where the blob was there: whoever put it may not have come to this line yet.
      await syncDirectory(dirname(path))
    } catch (err) {
      throw writeError(`putting blob ${ref.digest}, ${ref.sizeBytes} bytes,`, err)
    }
    return ref
  }

  async read(digest: Sha256): Promise<Uint8Array> {
    let bytes: Uint8Array
    try {
      bytes = await readFile(this.#path(digest))
    } catch (err) {
      throw errnoOf(err) === 'ENOENT' ? notFound(digest) : readError(`reading blob ${digest}`, err)
    }
    checkDigest(digest, bytes)
    return bytes
  }

  async open(digest: Sha256, range?: { readonly start: number; readonly end: number }): Promise<Readable> {
    const file = await openFile(this.#path(digest), digest)
    try {
      const start = range?.start ?? 0
      const end = Math.min(range?.end ?? Number.POSITIVE_INFINITY, (await file.stat()).size)
      if (start < end) return file.createReadStream({ start, end: end - 1 })
      await file.close()
      return Readable.from([])
    } catch (err) {
      await file.close()
      throw readError(`opening blob ${digest}`, err)
    }
  }

  async size(digest: Sha256): Promise<number | null> {
    return (await statOrNull(this.#path(digest)))?.size ?? null
  }

  async stat(digest: Sha256): Promise<StoredBlob | null> {
    const stats = await statOrNull(this.#path(digest))
    return stats === null ? null : { digest, sizeBytes: stats.size, storedAt: stats.mtime }
  }

  async link(digest: Sha256, path: string): Promise<boolean> {
    try {
      await link(this.#path(digest), path)
      return true
    } catch (err) {
      // Another file system, one without hard links, too many names of one file already (link(2)).
      if (['EXDEV', 'EMLINK', ...NO_LINKS].includes(errnoOf(err))) return false
      if (errnoOf(err) === 'ENOENT' && (await this.size(digest)) === null) throw notFound(digest)
      throw writeError(`linking blob ${digest} to ${path}`, err)
    }
  }

  async *list(): AsyncIterable<StoredBlob> {
    for (const first of await namesIn(this.#root)) {
      for (const second of await namesIn(join(this.#root, first))) {
        for (const name of await namesIn(join(this.#root, first, second))) {
          const digest = parseSha256(name)
          if (digest === null || this.#path(digest) !== join(this.#root, first, second, name)) continue
          const stats = await statOrNull(this.#path(digest))
          if (stats !== null) yield { digest, sizeBytes: stats.size, storedAt: stats.mtime }
        }
      }
    }
  }

  async remove(digest: Sha256, options?: { readonly unlessPutSince: Date }): Promise<boolean> {
    this.#checkWritable(`removing blob ${digest}`)
    const path = this.#path(digest)
    const isYoung = (stats: { mtime: Date }): boolean =>
      options !== undefined && stats.mtime >= options.unlessPutSince
    const stats = await statOrNull(path)
    if (stats === null || isYoung(stats)) return false
    try {
      return await withTempFile(this.#tempDir, async (aside) => {
        // Taken aside before it is looked at again: a put that still found it has touched it, and one that comes
        // now writes it anew.
        await rename(path, aside)
        if (!isYoung(await stat(aside))) return true
        await publishBlob(aside, path, stats.size)
        return false
      })
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return false
      throw writeError(`removing blob ${digest}`, err)
    }
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    await withTempFile(this.#tempDir, async (temp) => {
      const file = await open(temp, 'wx', 0o444)
      try {
        await file.writeFile(bytes)
        await file.sync()
      } finally {
        await file.close()
      }
      await publishBlob(temp, path, bytes.byteLength)
    })
  }

  /** Makes the two folders above a blob, durable before anything in them is. */
  async #makeFolders(leaf: string): Promise<void> {
    if (this.#durable.has(leaf)) return
    await mkdir(leaf, { recursive: true })
    // Whoever made them may not have flushed their names yet, so each process does it once for itself.
    for (const folder of [dirname(leaf), leaf]) {
      if (this.#durable.has(folder)) continue
      await syncDirectory(dirname(folder))
      this.#durable.add(folder)
    }
  }

  #path(digest: Sha256): string {
    return join(this.#root, digest.slice(0, 2), digest.slice(2, 4), digest)
  }

  #checkWritable(act: string): void {
    if (this.#readOnly) throw new StoreError('READ_ONLY', `${act}: the store was opened for reading only`)
  }
}

/** Marks a whole blob as put just now; false where there is none, or one of another size, which cannot be whole. */
async function touch(path: string, sizeBytes: number): Promise<boolean> {
  if ((await statOrNull(path))?.size !== sizeBytes) return false
  try {
    const now = new Date()
    await utimes(path, now, now)
    return true
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return false
    throw err
  }
}

/** Gives a temporary file its name. What has the name already stays, unless its size shows that it is not whole. */
async function publishBlob(temp: string, path: string, sizeBytes: number): Promise<void> {
  if (await publish(temp, path)) return
  if ((await statOrNull(path))?.size !== sizeBytes) await rename(temp, path)
}

async function openFile(path: string, digest: Sha256): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (err) {
    throw errnoOf(err) === 'ENOENT' ? notFound(digest) : readError(`opening blob ${digest}`, err)
  }
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir)
  } catch (err) {
    // A file where a folder is expected is none of ours: nothing is listed in it.
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return []
    throw readError(`listing ${dir}`, err)
  }
}
