import { sql, type Kysely, type Selectable, type SelectQueryBuilder, type Transaction } from 'kysely'
import { StoreError, type Build, type BuildFilter, type Catalog, type NewBuild } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { digestId } from './digests.ts'
import { countChange } from './generation.ts'
import { decode, encodeBuild } from './rows.ts'
import type { CatalogTables } from './tables.ts'

export function buildQueries(db: CatalogDb): Pick<Catalog, 'builds' | 'buildByKey' | 'addBuild'> {
  return {
    async builds(filter = {}) {
      const rows = await db.read('listing builds', (q) => filtered(selectBuilds(q), filter).execute())
      return rows.map(decode.build)
    },

    async buildByKey(key) {
      const row = await db.read('looking up a build', (q) => findBuild(q, key))
      return row === undefined ? null : decode.build(row)
    },

    addBuild: (build) =>
      db.write('adding a build', async (tx) => {
        // Looked up first, because adding what is there is frequent and should write nothing.
        const before = await findBuild(tx, build.key)
        if (before === undefined) await insertBuild(tx, build)
        const row = before ?? (await findBuild(tx, build.key))
        if (row === undefined) throw new StoreError('CORRUPT', `catalog: build ${build.key} vanished`)
        const kept = decode.build(row)
        refuseChange(kept, build)
        await tx.deleteFrom('failures').where('key', '=', build.key).execute()
        return kept
      }),
  }
}

async function insertBuild(tx: Transaction<CatalogTables>, build: NewBuild): Promise<void> {
  const btfId = await digestId(tx, build.btf.digest, build.btf.sizeBytes)
  const added = await tx
    .insertInto('builds')
    .values({ ...encodeBuild(build), btf_id: btfId })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .returning('id')
    .executeTakeFirst()
  if (added !== undefined) await countChange(tx)
}

type BuildRow = Selectable<CatalogTables['builds']> &
  Pick<Selectable<CatalogTables['digests']>, 'digest' | 'size_bytes'>
type BuildQuery = SelectQueryBuilder<CatalogTables, 'builds' | 'digests', BuildRow>

/** Builds with the digest and size of their BTF. */
export function selectBuilds(q: Kysely<CatalogTables>): BuildQuery {
  return q
    .selectFrom('builds')
    .innerJoin('digests', 'digests.id', 'builds.btf_id')
    .selectAll('builds')
    .select(['digests.digest', 'digests.size_bytes'])
}

function findBuild(q: Kysely<CatalogTables>, key: string): Promise<BuildRow | undefined> {
  return selectBuilds(q).where('key', '=', key).executeTakeFirst()
}

function filtered(query: BuildQuery, filter: BuildFilter): BuildQuery {
  let found = query.orderBy('builds.id')
  for (const column of ['distro', 'version', 'arch', 'release', 'origin'] as const) {
    const wanted = filter[column]
    if (wanted !== undefined) found = found.where(column, '=', wanted)
  }
  // Lower case on both sides, because LIKE ignores case in SQLite and minds it in PostgreSQL.
  if (filter.q !== undefined) {
    const pattern = `%${filter.q.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`
    found = found.where(sql<boolean>`lower(release) like ${pattern} escape '\\'`)
  }
  if (filter.afterId !== undefined) found = found.where('builds.id', '>', filter.afterId)
  return filter.limit === undefined ? found : found.limit(filter.limit)
}

/** A build is what it was when it came: the same key with another BTF or kernel is a fault of the caller's. */
function refuseChange(kept: Build, offered: NewBuild): void {
  const conflict = (what: string, has: string, got: string): StoreError =>
    new StoreError('CONFLICT', `build ${kept.key} is there with ${what} ${has}, offered with ${got}`)
  if (kept.btf.digest !== offered.btf.digest) throw conflict('BTF', kept.btf.digest, offered.btf.digest)
  const name = ({ distro, version, arch, release }: Build['kernel']): string =>
    [distro, version, arch, release].join('/')
  if (name(kept.kernel) !== name(offered.kernel)) {
    throw conflict('kernel', name(kept.kernel), name(offered.kernel))
  }
}
