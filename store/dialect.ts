import type Database from 'better-sqlite3'
import {
  CompiledQuery,
  SqliteDialect,
  SqliteDriver,
  type ColumnDefinitionBuilder,
  type CreateTableBuilder,
  type DatabaseConnection,
  type Driver,
} from 'kysely'

/** The databases that the catalog's SQL is written for. Everything else that differs between them is in this file. */
export type SqlDialect = 'sqlite' | 'postgres'

/** Adds the column `id`: the primary key, growing, never given twice. */
export function addGrowingId<Table extends string>(
  table: CreateTableBuilder<Table>,
  dialect: SqlDialect,
): CreateTableBuilder<Table> {
  const asKey = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.primaryKey()
  return dialect === 'sqlite'
    ? table.addColumn('id', 'integer', (column) => asKey(column).autoIncrement())
    : table.addColumn('id', 'bigserial', asKey)
}

/**
 * SQLite whose transactions take the write lock when they begin: every transaction here writes, and one that takes
 * the lock only after it has read cannot wait for another writer (https://sqlite.org/lang_transaction.html, 2.2).
 */
export class WritingSqliteDialect extends SqliteDialect {
  readonly #database: Database.Database

  constructor(database: Database.Database) {
    super({ database })
    this.#database = database
  }

  override createDriver(): Driver {
    return new WritingSqliteDriver(this.#database)
  }
}

class WritingSqliteDriver extends SqliteDriver {
  readonly #database: Database.Database

  constructor(database: Database.Database) {
    super({ database })
    this.#database = database
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // After a full disk and the like SQLite has rolled back itself; doing it again would hide the reason.
    if (this.#database.inTransaction) await super.rollbackTransaction(connection)
  }
}
