import Database from 'better-sqlite3'
import { Kysely } from 'kysely'
import { WritingSqliteDialect } from '../dialect.ts'

/** A pause inside SQLite stops the whole process, so it is short; `retryBusy` waits outside of it. */
const BUSY_TIMEOUT_MS = 20

/** Opens the file that is there. Throws what SQLite says. */
export function openFile(path: string, options: { readonly readonly: boolean }): Kysely<unknown> {
  const database = new Database(path, { ...options, fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
  try {
    database.pragma('foreign_keys = ON')
    // Each commit is flushed: what a caller was told is kept survives a power cut too, like the blobs that it names.
    // With NORMAL a power cut would undo the last commits (never harm the file), at 0.02 instead of 0.3 ms each.
    database.pragma('synchronous = FULL')
    if (!options.readonly) database.pragma('journal_mode = WAL')
    return connect(database)
  } catch (err) {
    database.close()
    throw err
  }
}

/** Kysely on an open database; destroying it closes the database. */
export function connect(database: Database.Database): Kysely<unknown> {
  return new Kysely({ dialect: new WritingSqliteDialect(database) })
}
