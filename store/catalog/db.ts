import type { Kysely, Transaction } from 'kysely'
import { migrations } from '../migrations/index.ts'
import { migrate } from '../migrations/migrate.ts'
import { retryBusy, sqliteCodeOf } from '../sqlite-errors.ts'
import { checkCatalogFile, createCatalogFile } from '../sqlite-file.ts'
import { StoreError } from '../types.ts'
import { openFile } from './connection.ts'
import { openReader } from './reader.ts'
import type { CatalogTables } from './tables.ts'

/** The catalog's database as its parts use it: reading apart from writing. */
export interface CatalogDb {
  /** Runs queries that only read. `act` is for errors: `listing builds`. */
  read<T>(act: string, query: (db: Kysely<CatalogTables>) => Promise<T>): Promise<T>
  /** Runs a transaction that alone may write; again from its start where another process is in the way. */
  write<T>(act: string, change: (tx: Transaction<CatalogTables>) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** Opens the database, makes it where there is none, and brings it up to date. Throws as `openCatalog` says. */
export async function openForWriting(path: string): Promise<CatalogDb> {
  await createCatalogFile(path)
  await checkCatalogFile(path)
  const writer = await openWriter(path)
  try {
    const reader = await openReader(path)
    return {
      read: reader.read,
      write: (act, change) => retryBusy(act, () => writer.transaction().execute(change)),
      async close() {
        await reader.close()
        // Last, because the last to leave writes the log back.
        await writer.destroy()
      },
    }
  } catch (err) {
    await writer.destroy()
    throw err
  }
}

/** Opens the database without ever writing. Throws as `openCatalog` says. */
export async function openForReading(path: string): Promise<CatalogDb> {
  await checkCatalogFile(path)
  const reader = await openReader(path)
  return {
    ...reader,
    async write(act) {
      throw new StoreError('READ_ONLY', `catalog: ${act}: it was opened for reading only`)
    },
  }
}

async function openWriter(path: string): Promise<Kysely<CatalogTables>> {
  const act = `opening ${path}`
  const db = await retryBusy(act, async () => openForChange(path))
  try {
    await retryBusy(act, () => migrate(db, 'sqlite', migrations))
    return db
  } catch (err) {
    await db.destroy()
    throw err
  }
}

function openForChange(path: string): Kysely<unknown> {
  try {
    return openFile(path, { readonly: false })
  } catch (err) {
    if (sqliteCodeOf(err) !== 'SQLITE_CANTOPEN') throw err
    // The file itself was read just before; what cannot be opened are the log's files beside it.
    throw new StoreError('READ_ONLY', `the catalog ${path} is in a folder that takes no files`, {
      cause: err,
    })
  }
}
