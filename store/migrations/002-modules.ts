import type { Migration } from './migrate.ts'

/** Modules of builds, and both in one id space; a build with a row in the latter has had its modules taken in. */
export const modules: Migration = {
  number: 2,
  name: 'modules',
  async up(db) {
    const { schema } = db
    await schema
      .createTable('build_merged')
      .addColumn('build_id', 'bigint', (c) => c.primaryKey().references('builds.id').onDelete('cascade'))
      .addColumn('btf_id', 'bigint', (c) => c.notNull().references('digests.id'))
      .addColumn('layout_digest', 'text', (c) => c.notNull())
      .execute()
    await schema
      .createTable('build_modules')
      .addColumn('build_id', 'bigint', (c) => c.notNull().references('builds.id').onDelete('cascade'))
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('btf_id', 'bigint', (c) => c.notNull().references('digests.id'))
      .addColumn('origin', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('build_modules_key', ['build_id', 'name'])
      .execute()
  },
}
