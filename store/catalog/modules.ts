import type { Kysely, Transaction } from 'kysely'
import { modulesKey } from '../../core/kernel-package.ts'
import { type BuildModules, type Catalog, StoreError } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { digestId } from './digests.ts'
import { countChange } from './generation.ts'
import { decode } from './rows.ts'
import type { CatalogTables } from './tables.ts'

export function moduleQueries(db: CatalogDb): Pick<Catalog, 'modules' | 'buildsWithModules' | 'putModules'> {
  return {
    modules: (buildId) => db.read('looking up modules', (q) => findModules(q, buildId)),

    async buildsWithModules() {
      const rows = await db.read('listing builds with modules', (q) =>
        q.selectFrom('build_merged').select('build_id').execute(),
      )
      return new Set(rows.map((row) => Number(row.build_id)))
    },

    putModules: (buildId, offered) =>
      db.write('recording modules', async (tx) => {
        const build = await tx.selectFrom('builds').select('key').where('id', '=', buildId).executeTakeFirst()
        if (build === undefined) throw new StoreError('NOT_FOUND', `there is no build ${buildId}`)
        await tx.deleteFrom('failures').where('key', '=', modulesKey(build.key)).execute()
        const kept = await findModules(tx, buildId)
        if (kept === null) return insertModules(tx, buildId, offered)
        if (kept.merged.digest !== offered.merged.digest || !sameModules(kept, offered)) {
          throw new StoreError(
            'CONFLICT',
            `build ${build.key} is there with ${kept.modules.length} modules, offered with ${offered.modules.length} others`,
          )
        }
      }),
  }
}

async function findModules(q: Kysely<CatalogTables>, buildId: number): Promise<BuildModules | null> {
  const merged = await q
    .selectFrom('build_merged')
    .innerJoin('digests', 'digests.id', 'btf_id')
    .select(['build_id', 'layout_digest', 'digest', 'size_bytes'])
    .where('build_id', '=', buildId)
    .executeTakeFirst()
  if (merged === undefined) return null
  const modules = await q
    .selectFrom('build_modules')
    .innerJoin('digests', 'digests.id', 'btf_id')
    .select(['build_id', 'name', 'origin', 'digest', 'size_bytes'])
    .where('build_id', '=', buildId)
    .orderBy('name')
    .execute()
  return { ...decode.merged(merged), modules: modules.map(decode.module) }
}

async function insertModules(
  tx: Transaction<CatalogTables>,
  buildId: number,
  { modules, merged, mergedLayout }: BuildModules,
): Promise<void> {
  await tx
    .insertInto('build_merged')
    .values({
      build_id: buildId,
      btf_id: await digestId(tx, merged.digest, merged.sizeBytes),
      layout_digest: mergedLayout,
    })
    .execute()
  for (const { name, btf, origin } of modules) {
    const row = { build_id: buildId, name, origin, btf_id: await digestId(tx, btf.digest, btf.sizeBytes) }
    await tx.insertInto('build_modules').values(row).execute()
  }
  await countChange(tx)
}

function sameModules(a: BuildModules, b: BuildModules): boolean {
  const list = ({ modules }: BuildModules): string =>
    modules
      .map(({ name, btf }) => `${name} ${btf.digest}`)
      .toSorted()
      .join('\n')
  return list(a) === list(b)
}
