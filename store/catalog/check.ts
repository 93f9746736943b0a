import { sql, type Kysely } from 'kysely'
import { describeError } from '../../core/errors.ts'
import { StoreError, type Catalog } from '../types.ts'
import { selectBuilds } from './builds.ts'
import type { CatalogDb } from './db.ts'
import { decode } from './rows.ts'
import type { CatalogTables } from './tables.ts'

/** Rows that are held in memory at once. */
const PAGE_ROWS = 5000

interface Found {
  rows: number
  readonly wrong: string[]
}

export function checkQueries(db: CatalogDb): Pick<Catalog, 'check'> {
  return {
    async check() {
      const found: Found = { rows: 0, wrong: [] }
      for (const step of STEPS) {
        try {
          await step(db, found)
        } catch (err) {
          // A file so damaged that a whole step fails is a finding; a disk that cannot be read is not.
          if (!(err instanceof StoreError) || err.code !== 'CORRUPT') throw err
          found.wrong.push(describeError(err))
        }
      }
      return found
    },
  }
}

const STEPS: readonly ((db: CatalogDb, found: Found) => Promise<void>)[] = [
  checkFile,
  checkLinks,
  (db, found) =>
    checkRows(db, found, decode.digest, (q, afterId) =>
      q.selectFrom('digests').selectAll().where('id', '>', afterId).orderBy('id').limit(PAGE_ROWS).execute(),
    ),
  (db, found) =>
    checkRows(db, found, decode.build, (q, afterId) =>
      selectBuilds(q).where('builds.id', '>', afterId).orderBy('builds.id').limit(PAGE_ROWS).execute(),
    ),
  (db, found) =>
    checkRows(
      db,
      found,
      (row: NumberedRow) => decode.merged(row),
      (q, afterId) =>
        q
          .selectFrom('build_merged')
          .innerJoin('digests', 'digests.id', 'btf_id')
          .select(['build_id', 'build_id as id', 'layout_digest', 'digest', 'size_bytes'])
          .where('build_id', '>', afterId)
          .orderBy('build_id')
          .limit(PAGE_ROWS)
          .execute(),
    ),
  checkModules,
  (db, found) =>
    checkRows(db, found, decode.failure, (q, afterId) =>
      q.selectFrom('failures').selectAll().where('id', '>', afterId).orderBy('id').limit(PAGE_ROWS).execute(),
    ),
  (db, found) =>
    checkRows(db, found, decode.tool, (q, afterId) =>
      q.selectFrom('tools').selectAll().where('id', '>', afterId).orderBy('id').limit(PAGE_ROWS).execute(),
    ),
]

/** Every page and index of the file, https://sqlite.org/pragma.html#pragma_integrity_check. */
async function checkFile(db: CatalogDb, found: Found): Promise<void> {
  const { rows } = await db.read('checking the file', (q) =>
    sql<{ integrity_check: string }>`pragma integrity_check`.execute(q),
  )
  const lines = rows.map((row) => row.integrity_check).filter((line) => line !== 'ok')
  found.wrong.push(...lines.map((line) => `catalog file: ${line}`))
}

async function checkLinks(db: CatalogDb, found: Found): Promise<void> {
  const { rows } = await db.read('checking references', (q) =>
    sql<{ table: string; rowid: number; parent: string }>`pragma foreign_key_check`.execute(q),
  )
  for (const { table, rowid, parent } of rows) {
    found.wrong.push(`catalog: ${table} row ${rowid}: points at no row of ${parent}`)
  }
}

/** A row of a table without numbers, with one given. */
interface NumberedRow {
  readonly id: number
  readonly build_id: number
}

/** The modules of one build after the other: they are too many for one page, and have no number of their own. */
async function checkModules(db: CatalogDb, found: Found): Promise<void> {
  const builds = await db.read('listing builds with modules', (q) =>
    q.selectFrom('build_modules').select('build_id').distinct().execute(),
  )
  for (const { build_id: buildId } of builds) {
    await checkRows(
      db,
      found,
      (row: NumberedRow & { readonly name: string }) => decode.module(row),
      async (q, afterId) => {
        if (afterId !== 0) return []
        const rows = await q
          .selectFrom('build_modules')
          .innerJoin('digests', 'digests.id', 'btf_id')
          .select(['build_id', 'name', 'origin', 'digest', 'size_bytes'])
          .where('build_id', '=', buildId)
          .execute()
        return rows.map((row, i) => ({ ...row, id: i + 1 }))
      },
    )
  }
}

/** Decodes every row of a table, page by page, and tells of each that is none of ours. */
async function checkRows<Row extends { readonly id: number }>(
  db: CatalogDb,
  found: Found,
  decodeRow: (row: Row) => unknown,
  page: (q: Kysely<CatalogTables>, afterId: number) => Promise<readonly Row[]>,
): Promise<void> {
  for (let afterId = 0; ;) {
    const rows = await db.read('checking rows', (q) => page(q, afterId))
    for (const row of rows) {
      try {
        decodeRow(row)
      } catch (err) {
        found.wrong.push(describeError(err))
      }
    }
    found.rows += rows.length
    const last = rows.at(-1)
    if (last === undefined) return
    afterId = last.id
  }
}
