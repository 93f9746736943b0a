import { StoreError, type Catalog } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { decode } from './rows.ts'

export type TokenQueries = Pick<Catalog, 'tokens' | 'addToken' | 'rotateToken' | 'removeToken'>

export function tokenQueries(db: CatalogDb): TokenQueries {
  return {
    async tokens() {
      const rows = await db.read('listing tokens', (q) =>
        q.selectFrom('tokens').selectAll().orderBy('name').execute(),
      )
      return rows.map(decode.token)
    },

    addToken: ({ name, hash, scopes }) =>
      db.write('adding a token', async (tx) => {
        const row = { name, hash, scopes: JSON.stringify(scopes), created_at: new Date().toISOString() }
        const added = await tx
          .insertInto('tokens')
          .values(row)
          .onConflict((conflict) => conflict.column('name').doNothing())
          .returning('name')
          .executeTakeFirst()
        if (added === undefined) throw new StoreError('CONFLICT', `there is a token named ${name} already`)
        return decode.token(row)
      }),

    rotateToken: (name, hash) =>
      db.write('rotating a token', async (tx) => {
        const values = { hash, created_at: new Date().toISOString() }
        const result = await tx.updateTable('tokens').set(values).where('name', '=', name).executeTakeFirst()
        return result.numUpdatedRows > 0n
      }),

    removeToken: (name) =>
      db.write('removing a token', async (tx) => {
        const result = await tx.deleteFrom('tokens').where('name', '=', name).executeTakeFirst()
        return result.numDeletedRows > 0n
      }),
  }
}
