import type { Kysely, Selectable } from 'kysely'
import type { Catalog, Failure } from '../types.ts'
import { nextTry } from '../../core/back-off.ts'
import type { CatalogDb } from './db.ts'
import { decode } from './rows.ts'
import type { CatalogTables } from './tables.ts'

export function failureQueries(db: CatalogDb): Pick<Catalog, 'failures' | 'failure' | 'addFailure'> {
  return {
    async failures() {
      const rows = await db.read('listing failures', (q) =>
        q.selectFrom('failures').selectAll().orderBy('id').execute(),
      )
      return rows.map(decode.failure)
    },

    async failure(key) {
      const row = await db.read('looking up a failure', (q) => findFailure(q, key))
      return row === undefined ? null : decode.failure(row)
    },

    addFailure: (failure) =>
      db.write('recording a failure', async (tx) => {
        const before = await findFailure(tx, failure.key)
        const tries = 1 + (before === undefined ? 0 : decode.failure(before).tries)
        const after: Failure = { ...failure, tries, nextTryAt: nextTry(failure.lastTryAt, tries) }
        const { key, kernel, code, message, lastTryAt, nextTryAt } = after
        const outcome = { ...kernel, code, message, tries, last_try_at: lastTryAt, next_try_at: nextTryAt }
        await tx
          .insertInto('failures')
          .values({ key, ...outcome })
          .onConflict((conflict) => conflict.column('key').doUpdateSet(outcome))
          .execute()
        return after
      }),
  }
}

function findFailure(
  q: Kysely<CatalogTables>,
  key: string,
): Promise<Selectable<CatalogTables['failures']> | undefined> {
  return q.selectFrom('failures').selectAll().where('key', '=', key).executeTakeFirst()
}
