import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Runs `handler` with the path of a file that does not exist yet in `dir`, and removes it afterwards. */
export async function withTempFile<T>(dir: string, handler: (path: string) => Promise<T>): Promise<T> {
  await mkdir(dir, { recursive: true })
  const path = join(dir, `${process.pid}-${randomBytes(9).toString('hex')}.tmp`)
  try {
    return await handler(path)
  } finally {
    await rm(path, { force: true, recursive: true })
  }
}

/**
 * Writes a whole file so that nobody ever sees half of it: a temporary file beside it, fsync, rename, fsync of
 * the folder. What was there before stays until the rename.
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array | string, mode = 0o644): Promise<void> {
  const dir = dirname(path)
  await mkdir(dir, { recursive: true })
  const temp = join(dir, `.${basename(path)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`)
  try {
    const file = await open(temp, 'wx', mode)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temp, path)
    await syncDirectory(dir)
  } finally {
    await rm(temp, { force: true })
  }
}

/** Makes renames in `dir` survive a power cut. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
