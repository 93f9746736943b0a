import type { Sha256 } from '../../core/digest.ts'
import { StoreError, type BlobRef, type Catalog } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { digestId } from './digests.ts'
import { decode } from './rows.ts'

export function minBtfQueries(db: CatalogDb): Pick<Catalog, 'minBtf' | 'minBtfs' | 'putMinBtf'> {
  return {
    async minBtf(toolId, btf) {
      const row = await db.read('looking up a min BTF', (q) =>
        q
          .selectFrom('min_btfs')
          .innerJoin('digests as full', 'full.id', 'min_btfs.btf_id')
          .innerJoin('digests as min', 'min.id', 'min_btfs.min_id')
          .select(['min.digest', 'min.size_bytes'])
          .where('tool_id', '=', toolId)
          .where('full.digest', '=', btf)
          .executeTakeFirst(),
      )
      return row === undefined ? null : decode.blob(`min_btfs row ${toolId}/${btf}`, row)
    },

    async minBtfs(toolId) {
      const { rows, contents } = await db.read('listing min BTFs', async (q) => {
        const ofTool = q.selectFrom('min_btfs').where('tool_id', '=', toolId)
        return {
          rows: await ofTool
            .innerJoin('digests', 'digests.id', 'min_btfs.btf_id')
            .select(['digests.id', 'digests.digest', 'min_id'])
            .execute(),
          // Few contents serve many kernels, so each is read once.
          contents: await q
            .selectFrom('digests')
            .selectAll()
            .where('id', 'in', ofTool.select('min_id'))
            .execute(),
        }
      })
      const mins = new Map<number, BlobRef>()
      for (const row of contents) mins.set(row.id, decode.blob(`digests row ${row.id}`, row))
      const found = new Map<Sha256, BlobRef>()
      for (const row of rows) {
        const min = mins.get(row.min_id)
        // Replaced between the two queries: as good as not made yet.
        if (min !== undefined) found.set(decode.sha256(`digests row ${row.id}`, row.digest), min)
      }
      return found
    },

    putMinBtf: (toolId, btf, min) =>
      db.write('recording a min BTF', async (tx) => {
        const tool = await tx.selectFrom('tools').select('id').where('id', '=', toolId).executeTakeFirst()
        if (tool === undefined) throw new StoreError('NOT_FOUND', `there is no tool ${toolId} (any more)`)
        const btfId = await digestId(tx, btf, null)
        const minId = await digestId(tx, min.digest, min.sizeBytes)
        await tx
          .insertInto('min_btfs')
          .values({ tool_id: toolId, btf_id: btfId, min_id: minId })
          .onConflict((conflict) => conflict.columns(['tool_id', 'btf_id']).doUpdateSet({ min_id: minId }))
          .execute()
      }),
  }
}
