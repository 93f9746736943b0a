import type { Sha256 } from '../../core/digest.ts'
import { StoreError, type BlobRef, type Catalog } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { digestId } from './digests.ts'
import { countMinChange } from './generation.ts'
import { decode } from './rows.ts'

/** Full BTFs that one query is about: SQLite takes some 30,000 parameters. */
const AT_ONCE = 1000

export function minBtfQueries(
  db: CatalogDb,
): Pick<Catalog, 'minBtf' | 'minBtfs' | 'minBtfsOf' | 'putMinBtf'> {
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

    async minBtfsOf(btfs) {
      const found = new Map<number, Map<Sha256, BlobRef>>()
      // Few contents serve many kernels, so each is checked once.
      const mins = new Map<string, BlobRef>()
      const all = [...new Set(btfs)]
      for (let at = 0; at < all.length; at += AT_ONCE) {
        const { fulls, rows } = await db.read('listing min BTFs of kernels', async (q) => {
          const digests = all.slice(at, at + AT_ONCE)
          const fulls = await q.selectFrom('digests').selectAll().where('digest', 'in', digests).execute()
          const ids = fulls.map(({ id }) => id)
          // Rows are found by tool and full BTF together, so every tool is asked for.
          const rows = await q
            .selectFrom('min_btfs')
            .innerJoin('digests', 'digests.id', 'min_id')
            .select(['tool_id', 'btf_id', 'digest', 'size_bytes'])
            .where('tool_id', 'in', (tools) => tools.selectFrom('tools').select('id'))
            .where('btf_id', 'in', ids)
            .execute()
          return { fulls, rows }
        })
        const byId = new Map(fulls.map((row) => [row.id, decode.digest(row).digest]))
        for (const { tool_id: toolId, btf_id: btfId, ...min } of rows) {
          const ref = mins.get(min.digest) ?? decode.blob(`min_btfs row ${toolId}/${btfId}`, min)
          mins.set(min.digest, ref)
          const ofTool = found.get(toolId) ?? new Map<Sha256, BlobRef>()
          found.set(toolId, ofTool.set(byId.get(btfId) as Sha256, ref))
        }
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
        await countMinChange(tx)
      }),
  }
}
