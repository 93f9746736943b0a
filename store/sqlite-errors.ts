import Database from 'better-sqlite3'
import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError, type StoreErrorCode } from './types.ts'

/** How long a call waits for another process's transaction before it gives up; transactions here take milliseconds. */
const GIVE_UP_AFTER_MS = 30_000
const LONGEST_PAUSE_MS = 100

/** SQLite's result codes (https://sqlite.org/rescode.html), by how their extended names begin. */
const CODES: readonly (readonly [prefix: string, code: StoreErrorCode])[] = [
  ['SQLITE_BUSY', 'BUSY'],
  ['SQLITE_LOCKED', 'BUSY'],
  ['SQLITE_CORRUPT', 'CORRUPT'],
  ['SQLITE_NOTADB', 'CORRUPT'],
  ['SQLITE_FORMAT', 'CORRUPT'],
  ['SQLITE_READONLY', 'READ_ONLY'],
  ['SQLITE_PERM', 'READ_ONLY'],
  ['SQLITE_FULL', 'IO'],
  ['SQLITE_IOERR', 'IO'],
  ['SQLITE_CANTOPEN', 'IO'],
]

/** SQLite's own code (`SQLITE_BUSY_SNAPSHOT`); undefined for any other error. */
export function sqliteCodeOf(err: unknown): string | undefined {
  return err instanceof Database.SqliteError ? err.code : undefined
}

/** An error of SQLite as one of ours; anything that is no fault of the file or the disk comes back as it is. */
export function fromSqlite(act: string, err: unknown): unknown {
  const sqliteCode = sqliteCodeOf(err)
  const code = CODES.find(([prefix]) => sqliteCode?.startsWith(prefix))?.[1]
  return code === undefined
    ? err
    : new StoreError(code, `catalog: ${act} failed (${sqliteCode})`, { cause: err })
}

/**
 * Runs a statement or a whole transaction, again after a pause where another process holds the lock; the event loop
 * goes on meanwhile. Throws `BUSY` when that lasts, and SQLite's other errors as {@link fromSqlite} gives them.
 */
export async function retryBusy<T>(act: string, attempt: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + GIVE_UP_AFTER_MS
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await attempt()
    } catch (err) {
      const waits = sqliteCodeOf(err)?.startsWith('SQLITE_BUSY') === true && performance.now() < giveUpAt
      if (!waits) throw fromSqlite(act, err)
    }
    await sleep(pauseMs * (0.5 + Math.random()))
  }
}
