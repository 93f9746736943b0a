import { buildQueries } from './catalog/builds.ts'
import { checkQueries } from './catalog/check.ts'
import { openForReading, openForWriting } from './catalog/db.ts'
import { derivedQueries } from './catalog/derived.ts'
import { failureQueries } from './catalog/failures.ts'
import { generationQueries } from './catalog/generation.ts'
import { indexMemoQueries } from './catalog/index-memos.ts'
import { minBtfQueries } from './catalog/min-btfs.ts'
import { moduleQueries } from './catalog/modules.ts'
import { referenceQueries } from './catalog/references.ts'
import { tokenQueries } from './catalog/tokens.ts'
import { toolQueries } from './catalog/tools.ts'
import type { Catalog } from './types.ts'

/**
 * The catalog in one SQLite file with a write-ahead log: readers never wait, writers wait for each other, and what a
 * call has written when it returns survives a kill and a power cut. Made where there is none, brought up to date where
 * it is older; with `readOnly` neither, and every change throws `READ_ONLY`.
 *
 * Throws `NOT_FOUND` (only with `readOnly`), `CORRUPT` (empty, cut off, not SQLite, another program's), `SCHEMA` (of a
 * newer hub; with `readOnly` also of an older one), `READ_ONLY`, `BUSY` or `IO`; the file is then as it was.
 */
export async function openCatalog(path: string, options: { readOnly?: boolean } = {}): Promise<Catalog> {
  const db = await (options.readOnly === true ? openForReading(path) : openForWriting(path))
  return {
    ...generationQueries(db),
    ...buildQueries(db),
    ...moduleQueries(db),
    ...failureQueries(db),
    ...toolQueries(db),
    ...tokenQueries(db),
    ...minBtfQueries(db),
    ...derivedQueries(db),
    ...indexMemoQueries(db),
    ...referenceQueries(db),
    ...checkQueries(db),
    close: () => db.close(),
  }
}
