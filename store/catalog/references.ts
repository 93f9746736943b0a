import type { Kysely } from 'kysely'
import type { Sha256 } from '../../core/digest.ts'
import type { BlobReference, Catalog } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { decode } from './rows.ts'
import type { CatalogTables } from './tables.ts'

export function referenceQueries(db: CatalogDb): Pick<Catalog, 'referencedBlobs' | 'references' | 'prune'> {
  const references = (): Promise<readonly BlobReference[]> =>
    db.read('listing references', async (q) => [
      ...(await buildReferences(q)),
      ...(await moduleReferences(q)),
      ...(await objectReferences(q)),
      ...(await minReferences(q)),
      ...(await derivedReferences(q)),
    ])
  return {
    references,

    async referencedBlobs() {
      return new Set<Sha256>((await references()).map((reference) => reference.digest))
    },

    prune: () =>
      db.write('forgetting derived blobs', async (tx) => {
        const removal = tx.deleteFrom('derived').where((eb) => eb.not(eb('from_id', 'in', usedIds(tx))))
        return Number((await removal.executeTakeFirst()).numDeletedRows)
      }),
  }
}

/**
 * The numbers of all digests that are pointed at by something other than a form derived for sending: what was lowered
 * for old readers is kept in several forms itself.
 */
function usedIds(q: Kysely<CatalogTables>) {
  return ownIds(q).union(
    q
      .selectFrom('derived')
      .select('to_id as id')
      .where('form', 'like', 'compat:%')
      .where('from_id', 'in', ownIds(q)),
  )
}

/** The numbers of all digests that are pointed at by something that was not derived. */
function ownIds(q: Kysely<CatalogTables>) {
  return q
    .selectFrom('builds')
    .select('btf_id as id')
    .union(q.selectFrom('build_modules').select('btf_id as id'))
    .union(q.selectFrom('build_merged').select('btf_id as id'))
    .union(q.selectFrom('tool_objects').select('object_id as id'))
    .union(q.selectFrom('min_btfs').select('min_id as id'))
}

async function buildReferences(q: Kysely<CatalogTables>): Promise<BlobReference[]> {
  const rows = await q
    .selectFrom('builds')
    .innerJoin('digests', 'digests.id', 'btf_id')
    .select((eb) => ['digests.id', 'digests.digest', 'digests.size_bytes', eb.fn.min('key').as('key')])
    .groupBy(['digests.id', 'digests.digest', 'digests.size_bytes'])
    .execute()
  return rows.map((row) => ({ ...decode.digest(row), kind: 'build', by: `build ${row.key}` }))
}

async function moduleReferences(q: Kysely<CatalogTables>): Promise<BlobReference[]> {
  // Grouped before it is joined: builds of a series share most of their modules.
  const distinct = q
    .selectFrom('build_modules')
    .select((eb) => ['btf_id', eb.fn.min('name').as('name'), eb.fn.min('build_id').as('build_id')])
    .groupBy('btf_id')
    .as('distinct_modules')
  const modules = await q
    .selectFrom(distinct)
    .innerJoin('digests', 'digests.id', 'distinct_modules.btf_id')
    .innerJoin('builds', 'builds.id', 'distinct_modules.build_id')
    .select(['digests.id', 'digests.digest', 'digests.size_bytes', 'distinct_modules.name', 'builds.key'])
    .execute()
  const merged = await q
    .selectFrom('build_merged')
    .innerJoin('digests', 'digests.id', 'build_merged.btf_id')
    .innerJoin('builds', 'builds.id', 'build_merged.build_id')
    .select((eb) => ['digests.id', 'digests.digest', 'digests.size_bytes', eb.fn.min('key').as('key')])
    .groupBy(['digests.id', 'digests.digest', 'digests.size_bytes'])
    .execute()
  return [
    ...modules.map((row): BlobReference => {
      return { ...decode.digest(row), kind: 'module', by: `module ${row.name} of build ${row.key}` }
    }),
    ...merged.map((row): BlobReference => {
      return { ...decode.digest(row), kind: 'module', by: `build ${row.key} with its modules` }
    }),
  ]
}

async function objectReferences(q: Kysely<CatalogTables>): Promise<BlobReference[]> {
  const rows = await q
    .selectFrom('tool_objects')
    .innerJoin('tools', 'tools.id', 'tool_id')
    .innerJoin('digests', 'digests.id', 'object_id')
    .select(['digests.id', 'digests.digest', 'digests.size_bytes'])
    .select(['tools.name as tool', 'tools.version', 'tool_objects.name'])
    .execute()
  return rows.map((row) => ({
    ...decode.digest(row),
    kind: 'object',
    by: `object ${row.name} of tool ${row.tool}@${row.version}`,
  }))
}

async function minReferences(q: Kysely<CatalogTables>): Promise<BlobReference[]> {
  // Grouped before it is joined: a million rows point at few contents.
  const distinct = q
    .selectFrom('min_btfs')
    .select((eb) => ['min_id', eb.fn.min('tool_id').as('tool_id')])
    .groupBy('min_id')
    .as('distinct_mins')
  const rows = await q
    .selectFrom(distinct)
    .innerJoin('digests', 'digests.id', 'distinct_mins.min_id')
    .innerJoin('tools', 'tools.id', 'distinct_mins.tool_id')
    .select(['digests.id', 'digests.digest', 'digests.size_bytes', 'tools.name', 'tools.version'])
    .execute()
  return rows.map((row) => ({
    ...decode.digest(row),
    kind: 'min',
    by: `min BTF of tool ${row.name}@${row.version}`,
  }))
}

async function derivedReferences(q: Kysely<CatalogTables>): Promise<BlobReference[]> {
  const rows = await q
    .selectFrom('derived')
    .innerJoin('digests', 'digests.id', 'to_id')
    .innerJoin('digests as source', 'source.id', 'from_id')
    .select(['digests.id', 'digests.digest', 'digests.size_bytes', 'form', 'source.digest as source'])
    .where('from_id', 'in', usedIds(q))
    .execute()
  return rows.map((row) => ({ ...decode.digest(row), kind: 'derived', by: `${row.form} of ${row.source}` }))
}
