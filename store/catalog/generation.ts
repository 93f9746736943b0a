import type { Transaction } from 'kysely'
import { StoreError, type Catalog } from '../types.ts'
import type { CatalogDb } from './db.ts'
import type { CatalogTables } from './tables.ts'

/** Counts one more change, in the transaction that makes it: nobody sees the one without the other. */
export async function countChange(tx: Transaction<CatalogTables>): Promise<void> {
  await tx
    .updateTable('catalog_state')
    .set((eb) => ({ generation: eb('generation', '+', 1) }))
    .execute()
}

export function generationQueries(db: CatalogDb): Pick<Catalog, 'generation'> {
  return {
    async generation() {
      const row = await db.read('reading the generation', (q) =>
        q.selectFrom('catalog_state').select('generation').executeTakeFirst(),
      )
      if (row === undefined) throw new StoreError('CORRUPT', 'catalog: catalog_state has no row')
      return row.generation
    },
  }
}
