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

/** The same for a min BTF. */
export async function countMinChange(tx: Transaction<CatalogTables>): Promise<void> {
  await tx
    .updateTable('catalog_state')
    .set((eb) => ({ min_changes: eb('min_changes', '+', 1) }))
    .execute()
}

export function generationQueries(db: CatalogDb): Pick<Catalog, 'generation' | 'minChanges'> {
  const read = async (column: 'generation' | 'min_changes'): Promise<number> => {
    const row = await db.read('reading the generation', (q) =>
      q.selectFrom('catalog_state').select(`${column} as count`).executeTakeFirst(),
    )
    if (row === undefined) throw new StoreError('CORRUPT', 'catalog: catalog_state has no row')
    return row.count
  }
  return { generation: () => read('generation'), minChanges: () => read('min_changes') }
}
