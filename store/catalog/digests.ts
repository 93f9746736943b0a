import type { Transaction } from 'kysely'
import type { Sha256 } from '../../core/digest.ts'
import { StoreError } from '../types.ts'
import { decode } from './rows.ts'
import type { CatalogTables } from './tables.ts'

/**
 * The number that a digest has in this catalog, a new one where it has none. `sizeBytes` is null where the caller
 * knows only the digest. Throws `CORRUPT` where the digest is known with another size.
 */
export async function digestId(
  tx: Transaction<CatalogTables>,
  digest: Sha256,
  sizeBytes: number | null,
): Promise<number> {
  const find = () => tx.selectFrom('digests').selectAll().where('digest', '=', digest)
  let row = await find().executeTakeFirst()
  if (row === undefined) {
    const added = { digest, size_bytes: sizeBytes }
    await tx
      .insertInto('digests')
      .values(added)
      .onConflict((conflict) => conflict.column('digest').doNothing())
      .execute()
    row = await find().executeTakeFirstOrThrow()
  }
  const known = decode.digest(row)
  if (sizeBytes !== null && known.sizeBytes === null) {
    await tx.updateTable('digests').set({ size_bytes: sizeBytes }).where('id', '=', row.id).execute()
  } else if (sizeBytes !== null && known.sizeBytes !== sizeBytes) {
    const message = `blob ${digest}: the catalog knows it with ${known.sizeBytes} bytes, not ${sizeBytes}`
    throw new StoreError('CORRUPT', message)
  }
  return row.id
}
