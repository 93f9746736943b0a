import Database from 'better-sqlite3'
import { Kysely, sql } from 'kysely'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WritingSqliteDialect } from '../dialect.ts'
import { postgresSql, runOnPostgres, hasPostgres } from '../postgres.fixture.ts'
import { scratch } from '../scratch.fixture.ts'
import { retryBusy } from '../sqlite-errors.ts'
import { migrations } from './index.ts'
import { checkSchema, migrate, schemaNumber, type Migration } from './migrate.ts'

function connect(path: string): Kysely<unknown> {
  const db = new Kysely<unknown>({ dialect: new WritingSqliteDialect(new Database(path, { timeout: 5 })) })
  onTestFinished(() => db.destroy())
  return db
}

const step = (number: number, statement: string): Migration => ({
  number,
  name: `step ${number}`,
  async up(db) {
    await sql.raw(statement).execute(db)
  },
})
const first = step(1, 'create table one (a text)')
const second = step(2, "insert into one values ('kept')")
const broken: Migration = {
  ...step(3, ''),
  async up(db) {
    await sql`create table half (a text)`.execute(db)
    await sql`insert into nowhere values (1)`.execute(db)
  },
}

it('applies every step once, and only the new ones later', async () => {
  const db = connect(':memory:')
  expect(await schemaNumber(db)).toBe(0)
  await migrate(db, 'sqlite', [first])
  expect(await schemaNumber(db)).toBe(1)
  await migrate(db, 'sqlite', [first, second])
  await migrate(db, 'sqlite', [first, second])
  expect((await sql`select a from one`.execute(db)).rows).toEqual([{ a: 'kept' }])
})

it('leaves a database as it was where one of several steps fails', async () => {
  const db = connect(':memory:')
  await migrate(db, 'sqlite', [first])
  await expect(migrate(db, 'sqlite', [first, second, broken])).rejects.toThrow('nowhere')
  expect(await schemaNumber(db)).toBe(1)
  expect((await sql`select a from one`.execute(db)).rows).toEqual([])
  const tables = await db.introspection.getTables()
  expect(tables.map((table) => table.name)).toEqual(['one', 'schema_migrations'])
})

it('may be done by two at once', async () => {
  const path = join(await scratch(), 'db')
  const [a, b] = [connect(path), connect(path)]
  const both = [a, b].map((db) => retryBusy('migrating', () => migrate(db, 'sqlite', [first, second])))
  await Promise.all(both)
  expect((await sql`select a from one`.execute(b)).rows).toEqual([{ a: 'kept' }])
})

it('refuses a newer database in both ways to open it, and an older one where it cannot be changed', async () => {
  const db = connect(':memory:')
  await migrate(db, 'sqlite', [first, second])
  await expect(migrate(db, 'sqlite', [first])).rejects.toMatchObject({ code: 'SCHEMA' })
  await expect(checkSchema(db, [first])).rejects.toThrow(/has schema 2, this hub knows up to 1/)
  await expect(checkSchema(db, [first, second, broken])).rejects.toThrow(/has schema 2, this hub reads 3/)
  await checkSchema(db, [first, second])
})

it('numbers the real steps 1, 2, 3 …', () => {
  expect(migrations.map((migration) => migration.number)).toEqual(migrations.map((_, i) => i + 1))
})

describe.skipIf(!hasPostgres)('on PostgreSQL (skipped where its server programs are not installed)', () => {
  it('the real steps make the same tables', async () => {
    const statements = await postgresSql(async (db) => {
      for (const migration of migrations) await migration.up(db, 'postgres')
    })
    const listed = await runOnPostgres([
      ...statements,
      "select table_name from information_schema.tables where table_schema = 'public' order by 1",
    ])
    const sqlite = connect(':memory:')
    await migrate(sqlite, 'sqlite', migrations)
    const tables = (await sqlite.introspection.getTables()).map((table) => table.name)
    expect(listed).toEqual(tables.filter((name) => name !== 'schema_migrations').sort())
  })
})
