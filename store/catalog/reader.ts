import type { Kysely } from 'kysely'
import { migrations } from '../migrations/index.ts'
import { checkSchema } from '../migrations/migrate.ts'
import { retryBusy, sqliteCodeOf } from '../sqlite-errors.ts'
import { fileStamp, readIntoMemory } from '../sqlite-file.ts'
import { connect, openFile } from './connection.ts'
import type { CatalogTables } from './tables.ts'

export interface CatalogReader {
  read<T>(act: string, query: (db: Kysely<CatalogTables>) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** An open database, and who uses it. */
interface Copy {
  readonly db: Kysely<CatalogTables>
  /** What the file was when it was read into memory; null where SQLite itself sees changes. */
  readonly stamp: string | null
  users: number
}

/**
 * Reads a catalog beside any number of writers, and on a read-only file system. There SQLite needs a writer that
 * holds the log open elsewhere; without one the file is read into memory, and again when it has changed.
 */
export async function openReader(path: string): Promise<CatalogReader> {
  let current = await openCopy(path)
  let reopening: Promise<void> | null = null

  async function reopenIfChanged(): Promise<void> {
    if (current.stamp === null || current.stamp === (await fileStamp(path))) return
    const old = current
    current = await openCopy(path)
    await leave(old)
  }

  async function leave(copy: Copy): Promise<void> {
    copy.users -= 1
    if (copy.users === 0) await copy.db.destroy()
  }

  return {
    async read(act, query) {
      if (current.stamp !== null) {
        reopening ??= reopenIfChanged().finally(() => (reopening = null))
        await reopening
      }
      const copy = current
      copy.users += 1
      try {
        return await retryBusy(act, () => query(copy.db))
      } finally {
        await leave(copy)
      }
    },
    close: () => leave(current),
  }
}

/** The user that it starts with is the reader itself. */
async function openCopy(path: string): Promise<Copy> {
  const stamp = await fileStamp(path)
  return retryBusy(`opening ${path}`, async () => {
    try {
      return { db: await checked(openFile(path, { readonly: true })), stamp: null, users: 1 }
    } catch (err) {
      if (!cannotShare(err)) throw err
    }
    return { db: await checked(connect(await readIntoMemory(path))), stamp, users: 1 }
  })
}

/** Whether SQLite failed because it may not make the log's files beside the database. */
function cannotShare(err: unknown): boolean {
  const code = sqliteCodeOf(err)
  return code === 'SQLITE_CANTOPEN' || code?.startsWith('SQLITE_READONLY') === true
}

async function checked(db: Kysely<unknown>): Promise<Kysely<CatalogTables>> {
  try {
    await checkSchema(db, migrations)
    return db
  } catch (err) {
    await db.destroy()
    throw err
  }
}
