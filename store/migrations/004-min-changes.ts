import type { Migration } from './migrate.ts'

/** A second count beside the generation: of min BTFs, which come by the thousand and change nothing that is in memory. */
export const minChanges: Migration = {
  number: 4,
  name: 'min changes',
  async up(db) {
    await db.schema
      .alterTable('catalog_state')
      .addColumn('min_changes', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute()
  },
}
