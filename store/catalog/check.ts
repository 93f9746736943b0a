import { sql } from 'kysely'
import { describeError } from '../../core/errors.ts'
import { StoreError, type Catalog } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { decode } from './rows.ts'

/** Rows that are held in memory at once. */
const PAGE_ROWS = 5000

export function checkQueries(db: CatalogDb): Pick<Catalog, 'check'> {
  return {
    async check() {
      const wrong: string[] = []
      for (const step of [checkFile, checkLinks, checkDigests, checkBuilds, checkFailures, checkTools]) {
        try {
          wrong.push(...(await step(db)))
        } catch (err) {
          // A file so broken that a whole step fails is a finding; a disk that cannot be read is not.
          if (!(err instanceof StoreError) || err.code !== 'CORRUPT') throw err
          wrong.push(describeError(err))
        }
      }
      return wrong
    },
  }
}

/** https://sqlite.org/pragma.html#pragma_integrity_check: every page and index. */
async function checkFile(db: CatalogDb): Promise<string[]> {
  const { rows } = await db.read('checking the file', (q) =>
    sql<{ integrity_check: string }>`pragma integrity_check`.execute(q),
  )
  const found = rows.map((row) => row.integrity_check)
  return found.filter((line) => line !== 'ok').map((line) => `catalog file: ${line}`)
}

async function checkLinks(db: CatalogDb): Promise<string[]> {
  const { rows } = await db.read('checking references', (q) =>
    sql<{ table: string; rowid: number; parent: string }>`pragma foreign_key_check`.execute(q),
  )
  return rows.map(({ table, rowid, parent }) => `catalog: ${table} row ${rowid}: points at no ${parent} row`)
}

function checkDigests(db: CatalogDb): Promise<string[]> {
  return checkRows(decode.digest, (afterId) =>
    db.read('checking digests', (q) =>
      q.selectFrom('digests').selectAll().where('id', '>', afterId).orderBy('id').limit(PAGE_ROWS).execute(),
    ),
  )
}

function checkBuilds(db: CatalogDb): Promise<string[]> {
  return checkRows(decode.build, (afterId) =>
    db.read('checking builds', (q) =>
      q
        .selectFrom('builds')
        .innerJoin('digests', 'digests.id', 'btf_id')
        .selectAll('builds')
        .select(['digest', 'size_bytes'])
        .where('builds.id', '>', afterId)
        .orderBy('builds.id')
        .limit(PAGE_ROWS)
        .execute(),
    ),
  )
}

function checkFailures(db: CatalogDb): Promise<string[]> {
  return checkRows(decode.failure, (afterId) =>
    db.read('checking failures', (q) =>
      q.selectFrom('failures').selectAll().where('id', '>', afterId).orderBy('id').limit(PAGE_ROWS).execute(),
    ),
  )
}

function checkTools(db: CatalogDb): Promise<string[]> {
  return checkRows(decode.tool, (afterId) =>
    db.read('checking tools', (q) =>
      q.selectFrom('tools').selectAll().where('id', '>', afterId).orderBy('id').limit(PAGE_ROWS).execute(),
    ),
  )
}

/** Decodes every row of a table, page by page, and tells of each that is none of ours. */
async function checkRows<Row extends { readonly id: number }>(
  decodeRow: (row: Row) => unknown,
  page: (afterId: number) => Promise<readonly Row[]>,
): Promise<string[]> {
  const wrong: string[] = []
  for (let afterId = 0; ;) {
    const rows = await page(afterId)
    for (const row of rows) {
      try {
        decodeRow(row)
      } catch (err) {
        wrong.push(describeError(err))
      }
    }
    const last = rows.at(-1)
    if (last === undefined) return wrong
    afterId = last.id
  }
}
