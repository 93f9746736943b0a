import type { Kysely } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { StoreError } from '../types.ts'

/** One step of the catalog's shape, written once for every dialect. */
export interface Migration {
  /** 1, 2, 3 …: what a catalog's schema number counts. */
  readonly number: number
  readonly name: string
  up(db: Kysely<unknown>, dialect: SqlDialect): Promise<void>
}

interface MigrationTables {
  schema_migrations: { number: number; name: string; applied_at: string }
}

/** The number of the last migration that a database has had; 0 for an empty one. */
export async function schemaNumber(db: Kysely<unknown>): Promise<number> {
  const tables = await db.introspection.getTables()
  if (!tables.some((table) => table.name === 'schema_migrations')) return 0
  const row = await asMigrationTables(db)
    .selectFrom('schema_migrations')
    .select((eb) => eb.fn.max('number').as('number'))
    .executeTakeFirst()
  return Number(row?.number ?? 0)
}

/**
 * Brings a database to the last of `migrations`, all in one transaction: afterwards it has had all of them, or is as
 * it was. Two processes may do it at once. Throws `SCHEMA`, and changes nothing, where it is newer than `migrations`.
 */
export async function migrate(
  db: Kysely<unknown>,
  dialect: SqlDialect,
  migrations: readonly Migration[],
): Promise<void> {
  const latest = latestNumber(migrations)
  const before = await schemaNumber(db)
  refuseNewer(before, latest)
  if (before === latest) return
  await db.transaction().execute(async (tx) => {
    const schema = tx.schema.createTable('schema_migrations').ifNotExists()
    await schema
      .addColumn('number', 'integer', (c) => c.primaryKey())
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('applied_at', 'text', (c) => c.notNull())
      .execute()
    // Read again under the lock: another process may have been faster.
    const current = await schemaNumber(tx)
    refuseNewer(current, latest)
    for (const migration of migrations.filter((m) => m.number > current)) {
      await migration.up(tx, dialect)
      const applied = { number: migration.number, name: migration.name, applied_at: new Date().toISOString() }
      await asMigrationTables(tx).insertInto('schema_migrations').values(applied).execute()
    }
  })
}

/** Throws `SCHEMA` unless a database that cannot be changed is exactly as new as the code. */
export async function checkSchema(db: Kysely<unknown>, migrations: readonly Migration[]): Promise<void> {
  const latest = latestNumber(migrations)
  const current = await schemaNumber(db)
  refuseNewer(current, latest)
  if (current === latest) return
  throw new StoreError(
    'SCHEMA',
    `the catalog has schema ${current}, this hub reads ${latest}: open it once for writing to bring it up to date`,
  )
}

function refuseNewer(current: number, latest: number): void {
  if (current <= latest) return
  throw new StoreError(
    'SCHEMA',
    `the catalog has schema ${current}, this hub knows up to ${latest}: a newer btfhub made it, use that one`,
  )
}

function latestNumber(migrations: readonly Migration[]): number {
  return Math.max(0, ...migrations.map((migration) => migration.number))
}

function asMigrationTables(db: Kysely<unknown>): Kysely<MigrationTables> {
  return db
}
