import type { Migration } from './migrate.ts'

/** Who may write over HTTP: by the hash of a secret. */
export const tokens: Migration = {
  number: 3,
  name: 'tokens',
  async up(db) {
    await db.schema
      .createTable('tokens')
      .addColumn('name', 'text', (c) => c.primaryKey())
      .addColumn('hash', 'text', (c) => c.notNull().unique())
      // JSON.
      .addColumn('scopes', 'text', (c) => c.notNull())
      .addColumn('created_at', 'text', (c) => c.notNull())
      .execute()
  },
}
