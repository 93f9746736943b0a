import Database from 'better-sqlite3'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomic } from '../core/temp-file.ts'
import { writeError } from './io-errors.ts'
import { fromSqlite, sqliteCodeOf } from './sqlite-errors.ts'
import { StoreError } from './types.ts'

const holderSchema = z.object({ pid: z.number().int(), host: z.string(), since: z.iso.datetime() })

/**
 * Runs `handler` while nobody else on this machine runs one under the same name on the same data folder. The lock is
 * SQLite's exclusive one on a file of its own, which is the kernel's: whatever ends the process, a kill or a power cut
 * too, frees it, so that there is no stale lock to recognise. Throws `BUSY`, naming the holder, at once.
 */
export async function withLock<T>(dataDir: string, name: string, handler: () => Promise<T>): Promise<T> {
  const dir = join(dataDir, 'locks')
  const holderPath = join(dir, `${name}.json`)
  const lock = await acquire(dir, name, holderPath)
  try {
    const holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() }
    await writeFileAtomic(holderPath, JSON.stringify(holder))
    return await handler()
  } finally {
    await rm(holderPath, { force: true }).finally(() => lock.close())
  }
}

async function acquire(dir: string, name: string, holderPath: string): Promise<Database.Database> {
  let lock: Database.Database | undefined
  try {
    await mkdir(dir, { recursive: true })
    lock = new Database(join(dir, `${name}.lock`), { timeout: 0 })
    lock.exec('begin exclusive')
    return lock
  } catch (err) {
    lock?.close()
    if (sqliteCodeOf(err) === 'SQLITE_BUSY') {
      throw new StoreError(
        'BUSY',
        `another ${name} is under way in this data folder: ${await holder(holderPath)}`,
      )
    }
    throw writeError(`locking ${dir} for ${name}`, fromSqlite(`locking for ${name}`, err))
  }
}

/** For people only: that the lock is held was decided before. */
async function holder(path: string): Promise<string> {
  try {
    const { pid, host, since } = holderSchema.parse(JSON.parse(await readFile(path, 'utf8')))
    return `process ${pid} on ${host}, since ${since}`
  } catch {
    return 'a process that has only just begun or ended'
  }
}
