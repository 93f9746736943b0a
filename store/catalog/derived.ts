import type { Catalog } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { digestId } from './digests.ts'
import { decode } from './rows.ts'

export function derivedQueries(db: CatalogDb): Pick<Catalog, 'derived' | 'putDerived'> {
  return {
    async derived(from, form) {
      const row = await db.read('looking up a derived blob', (q) =>
        q
          .selectFrom('derived')
          .innerJoin('digests as source', 'source.id', 'derived.from_id')
          .innerJoin('digests as made', 'made.id', 'derived.to_id')
          .select(['made.digest', 'made.size_bytes'])
          .where('source.digest', '=', from)
          .where('form', '=', form)
          .executeTakeFirst(),
      )
      return row === undefined ? null : decode.blob(`derived row ${from}/${form}`, row)
    },

    putDerived: (from, form, to) =>
      db.write('recording a derived blob', async (tx) => {
        const fromId = await digestId(tx, from, null)
        const toId = await digestId(tx, to.digest, to.sizeBytes)
        await tx
          .insertInto('derived')
          .values({ from_id: fromId, form, to_id: toId })
          .onConflict((conflict) => conflict.columns(['from_id', 'form']).doUpdateSet({ to_id: toId }))
          .execute()
      }),
  }
}
