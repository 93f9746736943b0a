import { sql } from 'kysely'
import { addGrowingId } from '../dialect.ts'
import type { Migration } from './migrate.ts'

/** Digests by number, builds, failures, tools, what is made of them, and what indexes said. */
export const catalog: Migration = {
  number: 1,
  name: 'catalog',
  async up(db, dialect) {
    const { schema } = db
    // One row that every change of a build or a tool counts up.
    await schema
      .createTable('catalog_state')
      .addColumn('id', 'integer', (c) => c.primaryKey())
      .addColumn('generation', 'bigint', (c) => c.notNull())
      .execute()
    await sql`insert into catalog_state (id, generation) values (1, 0)`.execute(db)

    // Each digest once, because a million min BTFs point at few: 3 bytes instead of 64 in each row. A digest and its
    // size belong together for ever, so nothing is deleted here.
    await addGrowingId(schema.createTable('digests'), dialect)
      .addColumn('digest', 'text', (c) => c.notNull().unique())
      .addColumn('size_bytes', 'bigint')
      .execute()

    await addGrowingId(schema.createTable('builds'), dialect)
      .addColumn('key', 'text', (c) => c.notNull().unique())
      .addColumn('distro', 'text', (c) => c.notNull())
      .addColumn('version', 'text', (c) => c.notNull())
      .addColumn('arch', 'text', (c) => c.notNull())
      .addColumn('release', 'text', (c) => c.notNull())
      .addColumn('flavour', 'text', (c) => c.notNull())
      .addColumn('series', 'text', (c) => c.notNull())
      .addColumn('btf_id', 'bigint', (c) => c.notNull().references('digests.id'))
      .addColumn('layout_digest', 'text', (c) => c.notNull())
      .addColumn('origin', 'text', (c) => c.notNull())
      .addColumn('provenance', 'text', (c) => c.notNull())
      .execute()
    await schema.createIndex('builds_by_release').on('builds').columns(['release', 'arch']).execute()
    await schema
      .createIndex('builds_by_distro')
      .on('builds')
      .columns(['distro', 'version', 'arch', 'id'])
      .execute()
    await schema.createIndex('builds_by_btf').on('builds').column('btf_id').execute()

    await addGrowingId(schema.createTable('failures'), dialect)
      .addColumn('key', 'text', (c) => c.notNull().unique())
      .addColumn('distro', 'text', (c) => c.notNull())
      .addColumn('version', 'text', (c) => c.notNull())
      .addColumn('arch', 'text', (c) => c.notNull())
      .addColumn('release', 'text', (c) => c.notNull())
      .addColumn('code', 'text', (c) => c.notNull())
      .addColumn('message', 'text', (c) => c.notNull())
      .addColumn('tries', 'integer', (c) => c.notNull())
      .addColumn('last_try_at', 'text', (c) => c.notNull())
      .addColumn('next_try_at', 'text', (c) => c.notNull())
      .execute()

    await addGrowingId(schema.createTable('tools'), dialect)
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('version', 'text', (c) => c.notNull())
      .addColumn('created_at', 'text', (c) => c.notNull())
      .addUniqueConstraint('tools_by_name', ['name', 'version'])
      .execute()
    await schema
      .createTable('tool_objects')
      .addColumn('tool_id', 'bigint', (c) => c.notNull().references('tools.id').onDelete('cascade'))
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('object_id', 'bigint', (c) => c.notNull().references('digests.id'))
      .addPrimaryKeyConstraint('tool_objects_key', ['tool_id', 'name'])
      .execute()

    await schema
      .createTable('min_btfs')
      .addColumn('tool_id', 'bigint', (c) => c.notNull().references('tools.id').onDelete('cascade'))
      .addColumn('btf_id', 'bigint', (c) => c.notNull().references('digests.id'))
      .addColumn('min_id', 'bigint', (c) => c.notNull().references('digests.id'))
      .addPrimaryKeyConstraint('min_btfs_key', ['tool_id', 'btf_id'])
      .execute()

    await schema
      .createTable('derived')
      .addColumn('from_id', 'bigint', (c) => c.notNull().references('digests.id'))
      .addColumn('form', 'text', (c) => c.notNull())
      .addColumn('to_id', 'bigint', (c) => c.notNull().references('digests.id'))
      .addPrimaryKeyConstraint('derived_key', ['from_id', 'form'])
      .execute()

    await schema
      .createTable('index_memos')
      .addColumn('key', 'text', (c) => c.primaryKey())
      .addColumn('etag', 'text')
      .addColumn('last_modified', 'text')
      .addColumn('sha256', 'text', (c) => c.notNull())
      .addColumn('value', 'text', (c) => c.notNull())
      .execute()
  },
}
