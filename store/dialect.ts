import {
  CompiledQuery,
  SqliteDialect,
  SqliteDriver,
  type ColumnDefinitionBuilder,
  type CreateTableBuilder,
  type DatabaseConnection,
  type Driver,
  type SqliteDialectConfig,
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
  readonly #config: SqliteDialectConfig

  constructor(config: SqliteDialectConfig) {
    super(config)
    this.#config = config
  }

  override createDriver(): Driver {
    return new WritingSqliteDriver(this.#config)
  }
}

class WritingSqliteDriver extends SqliteDriver {
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }
}
