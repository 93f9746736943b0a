import Database from 'better-sqlite3'
import { mkdir, open, readFile, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Kysely } from 'kysely'
import { syncDirectory, withTempFile } from '../core/temp-file.ts'
import { WritingSqliteDialect } from './dialect.ts'
import { publish, statOrNull } from './files.ts'
import { errnoOf, readError, writeError } from './io-errors.ts'
import { migrations } from './migrations/index.ts'
import { migrate } from './migrations/migrate.ts'
import { StoreError } from './types.ts'

/** "BTFH" as SQLite's application id: tells a catalog from anybody else's database. */
const APPLICATION_ID = 0x42544648

/** https://sqlite.org/fileformat2.html#the_database_header */
const HEADER_BYTES = 100
const MAGIC = 'SQLite format 3\0'

/**
 * Makes an empty catalog unless there is one. It gets its name only when it is whole, so that a kill never leaves an
 * empty file there, and so that one found there is a fault. Two processes may do it at once.
 */
export async function createCatalogFile(path: string): Promise<void> {
  if ((await statOrNull(path)) !== null) return
  try {
    await mkdir(dirname(path), { recursive: true })
    await withTempFile(join(dirname(path), 'tmp'), async (temp) => {
      const database = new Database(temp)
      database.pragma(`application_id = ${APPLICATION_ID}`)
      database.pragma('journal_mode = WAL')
      const db = new Kysely<unknown>({ dialect: new WritingSqliteDialect(database) })
      try {
        await migrate(db, 'sqlite', migrations)
      } finally {
        await db.destroy()
      }
      await syncFile(temp)
      await publish(temp, path)
    })
    await syncDirectory(dirname(path))
  } catch (err) {
    throw writeError(`making the catalog ${path}`, err)
  }
}

/**
 * Looks at a catalog's first bytes before SQLite gets it, because SQLite takes an empty file for a new database.
 * Throws `NOT_FOUND`, `CORRUPT` (empty, cut off, not SQLite, not a catalog) or `IO`; changes nothing.
 */
export async function checkCatalogFile(path: string): Promise<void> {
  const { header, sizeBytes } = await readHeader(path)
  const corrupt = (what: string): StoreError => new StoreError('CORRUPT', `the catalog ${path} ${what}`)
  if (sizeBytes === 0) throw corrupt('is empty (0 bytes)')
  if (header.toString('latin1', 0, MAGIC.length) !== MAGIC) throw corrupt('is not a SQLite database')
  if (header.byteLength < HEADER_BYTES) throw corrupt(`is cut off after ${sizeBytes} bytes`)
  if (header.readUInt32BE(68) !== APPLICATION_ID) throw corrupt('is a SQLite database of another program')
  const pageBytes = header.readUInt16BE(16) === 1 ? 65536 : header.readUInt16BE(16)
  const expected = header.readUInt32BE(28) * pageBytes
  // A checkpoint that was broken off writes the header before the pages; the log then still has those.
  if (sizeBytes < expected && !(await hasLog(path))) {
    throw corrupt(`is cut off: it has ${sizeBytes} bytes of ${expected}`)
  }
}

/**
 * The whole catalog in memory, for where SQLite cannot share it: on a read-only file system without its log files.
 * Throws `READ_ONLY` where the last writer left a log that would have to be written back first.
 */
export async function readIntoMemory(path: string): Promise<Database.Database> {
  if (await hasLog(path)) {
    throw new StoreError(
      'READ_ONLY',
      `the catalog ${path} was not closed cleanly and its file system is read-only: open it once for writing`,
    )
  }
  const bytes = await readFile(path)
  // A database in memory has no log; bytes 18 and 19 say whether one is expected (format 1.3.3).
  bytes.writeUInt16BE(0x0101, 18)
  return new Database(bytes)
}

/** Changes whenever the file or its log does. */
export async function fileStamp(path: string): Promise<string> {
  const stamps = [path, `${path}-wal`].map(async (file) => {
    const stats = await statOrNull(file)
    return stats === null ? '-' : `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}`
  })
  return (await Promise.all(stamps)).join(' ')
}

async function readHeader(path: string): Promise<{ header: Buffer; sizeBytes: number }> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (err) {
    if (errnoOf(err) !== 'ENOENT') throw readError(`opening the catalog ${path}`, err)
    throw new StoreError('NOT_FOUND', `there is no catalog ${path}: crawl or import something first`)
  }
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0)
    return { header: buffer.subarray(0, bytesRead), sizeBytes: (await file.stat()).size }
  } catch (err) {
    throw readError(`reading the catalog ${path}`, err)
  } finally {
    await file.close()
  }
}

async function hasLog(path: string): Promise<boolean> {
  return ((await statOrNull(`${path}-wal`))?.size ?? 0) > 0
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
