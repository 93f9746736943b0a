import type { Catalog } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { decode } from './rows.ts'

export function indexMemoQueries(db: CatalogDb): Pick<Catalog, 'indexMemo' | 'putIndexMemo'> {
  return {
    async indexMemo(key) {
      const row = await db.read('reading what an index said', (q) =>
        q.selectFrom('index_memos').selectAll().where('key', '=', key).executeTakeFirst(),
      )
      if (row === undefined) return null
      const { last_modified: lastModified, ...memo } = decode.indexMemo(key, row)
      return { ...memo, lastModified }
    },

    async putIndexMemo(key, { etag, lastModified, sha256, value }) {
      const memo = { etag, last_modified: lastModified, sha256, value }
      await db.write('keeping what an index said', (tx) =>
        tx
          .insertInto('index_memos')
          .values({ key, ...memo })
          .onConflict((conflict) => conflict.column('key').doUpdateSet(memo))
          .execute(),
      )
    },
  }
}
