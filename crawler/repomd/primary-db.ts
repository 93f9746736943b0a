import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import Database from 'better-sqlite3'
import { describeError } from '../../core/errors.ts'
import { withTempFile } from '../../core/temp-file.ts'
import type { RawRpm, RpmEntries } from '../rpm/entries.ts'
import { CrawlError } from '../types.ts'
import { collector } from './collector.ts'

const COLUMNS = {
  name: 'name',
  version: 'version',
  release: 'release',
  arch: 'arch',
  href: 'location_href',
  base: 'location_base',
  size: 'size_package',
  checksumType: 'checksum_type',
  checksum: 'pkgId',
  time: 'time_build',
} as const satisfies Record<keyof RawRpm, string>

/**
 * The packages of a `primary_db` (SQLite) whose names `accept`s: written to a temporary file, for SQLite reads no
 * streams, and read without running anything that it may bring along. Throws `MALFORMED` where it is no such database.
 */
export async function readPrimaryDb(
  name: string,
  chunks: AsyncIterable<Uint8Array>,
  accept: (packageName: string) => boolean,
  tempDir: string,
): Promise<RpmEntries> {
  return withTempFile(tempDir, async (path) => {
    await pipeline(chunks, createWriteStream(path, { flags: 'wx' }))
    try {
      return readPackages(name, path, accept)
    } catch (err) {
      if (err instanceof CrawlError) throw err
      throw new CrawlError('MALFORMED', `${name}: expected a database of packages: ${describeError(err)}`, {
        cause: err,
      })
    }
  })
}

function readPackages(name: string, path: string, accept: (packageName: string) => boolean): RpmEntries {
  const db = new Database(path, { readonly: true, fileMustExist: true })
  try {
    db.pragma('trusted_schema = OFF')
    db.pragma('cell_size_check = ON')
    // A view or a virtual table of that name could compute without end.
    const made: unknown = db
      .prepare(`SELECT sql FROM sqlite_master WHERE name = 'packages' AND type = 'table'`)
      .pluck()
      .get()
    if (typeof made !== 'string' || !/^CREATE TABLE\b/i.test(made)) {
      throw new CrawlError('MALFORMED', `${name}: expected a table of packages`)
    }
    const found = collector(name, accept)
    const columns = Object.entries(COLUMNS).map(([field, column]) => `CAST(${column} AS TEXT) AS "${field}"`)
    for (const row of db.prepare(`SELECT ${columns.join(', ')} FROM packages`).iterate()) {
      const raw = row as RawRpm
      // A name can be NULL in the schema of createrepo.
      if (typeof raw.name === 'string') found.add({ ...raw, base: raw.base === '' ? null : raw.base })
    }
    return found.entries()
  } finally {
    db.close()
  }
}
