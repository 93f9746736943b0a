import { execFile } from 'node:child_process'
import { chmod, lstat, mkdir, readlink, rename, rm, rmdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { withTempFile } from '../../core/temp-file.ts'
import { checkTreePath } from '../../core/signed-index/index.ts'
import type { BlobStore } from '../../store/index.ts'
import { PRIVATE_DIR } from './tree-paths.ts'
import { ExportError, type TreeFile } from './types.ts'

/** A web server runs as another user than who exports, whose umask may keep everybody else out. */
export const FILE_MODE = 0o644
const FOLDER_MODE = 0o755

/**
 * Writes the files of a tree, readable for everybody whatever the umask. Each appears whole, by a rename; none is written through a symbolic link, so that nothing
 * outside of the tree is ever touched. What a power cut may undo is made durable by {@link sync}, all at once: flushing
 * each of a hundred thousand small files would take hours on a disk.
 */
export class TreeWriter {
  readonly #root: string
  readonly #blobs: BlobStore
  readonly #copies: boolean
  readonly #folders = new Set<string>()

  /** `root` is a real path. With `copies` no file shares its bytes with the store. */
  constructor(root: string, blobs: BlobStore, copies: boolean) {
    this.#root = root
    this.#blobs = blobs
    this.#copies = copies
  }

  /** Throws StoreError `CORRUPT` and `NOT_FOUND` for what is wrong with a blob, and what the system says. */
  async write(file: TreeFile): Promise<void> {
    const path = await this.#place(file.path)
    await withTempFile(this.#tempDir, async (temp) => {
      // A blob gets its second name after it was read once, so that no damaged one is ever published.
      const bytes = await this.#bytesOf(file)
      const isLinked = file.bytes === null && !this.#copies && (await this.#link(file, temp))
      if (!isLinked) await writeFile(temp, bytes, { flag: 'wx' })
      if (!isLinked) await chmod(temp, FILE_MODE)
      await rename(temp, path)
    })
  }

  async #bytesOf({ bytes, digest }: TreeFile): Promise<Uint8Array> {
    if (typeof bytes === 'function') return bytes()
    return bytes ?? this.#blobs.read(digest)
  }

  /** False, and nothing done, where bytes cannot be shared: on another disk, or with a mode that is not ours to change. */
  async #link({ digest }: TreeFile, temp: string): Promise<boolean> {
    if (!(await this.#blobs.link(digest, temp))) return false
    try {
      await chmod(temp, FILE_MODE)
      return true
    } catch (err) {
      await rm(temp)
      if ((err as NodeJS.ErrnoException).code === 'EPERM') return false
      throw err
    }
  }

  async link(path: string, target: string): Promise<void> {
    const place = await this.#place(path)
    if ((await readlink(place).catch(() => null)) === target) return
    await withTempFile(this.#tempDir, async (temp) => {
      await symlink(target, temp)
      await rename(temp, place)
    })
  }

  /** A file or link of the tree, where it is there; folders that become empty go with it. */
  async remove(path: string): Promise<void> {
    const parts = checkTreePath(path).split('/')
    for (let depth = 1; depth < parts.length; depth++) {
      // A folder that is none of ours, or is a link to elsewhere: nothing in it is ours either.
      if (!(await isFolder(join(this.#root, ...parts.slice(0, depth))))) return
    }
    await rm(join(this.#root, path), { force: true })
    for (let depth = parts.length - 1; depth > 0; depth--) {
      const folder = join(this.#root, ...parts.slice(0, depth))
      const isEmpty = await rmdir(folder).then(
        () => true,
        () => false,
      )
      if (!isEmpty) return
      this.#folders.delete(folder)
    }
  }

  /** Whether a regular file that everybody can read is at a path, and none of its folders a link. */
  async has(path: string): Promise<boolean> {
    const stats = await lstat(join(this.#root, path)).catch(() => null)
    return stats?.isFile() === true && (stats.mode & FILE_MODE) === FILE_MODE
  }

  /** Makes all that was written survive a power cut: syncfs(2), which Node does not have. */
  async sync(): Promise<void> {
    await promisify(execFile)('sync', ['-f', this.#root])
  }

  get #tempDir(): string {
    return join(this.#root, PRIVATE_DIR, 'tmp')
  }

  async #place(path: string): Promise<string> {
    const place = join(this.#root, checkTreePath(path))
    await this.#makeFolder(dirname(place))
    return place
  }

  /** Part by part, because mkdir(2) follows what links there are on its way. */
  async #makeFolder(folder: string): Promise<void> {
    if (folder === this.#root || this.#folders.has(folder)) return
    await this.#makeFolder(dirname(folder))
    await makeFolder(folder)
    if (!(await isFolder(folder))) {
      throw new ExportError('DAMAGED', `${folder}: expected a folder, found what no export made`)
    }
    this.#folders.add(folder)
  }
}

/** Makes a folder that everybody can look into; one that is there stays as it is. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder)
    await chmod(folder, FOLDER_MODE)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw err
  }
}

async function isFolder(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => null)
  return stats?.isDirectory() === true
}
