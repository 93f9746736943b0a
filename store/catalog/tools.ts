import type { Kysely } from 'kysely'
import { StoreError, type Catalog, type Tool, type ToolObject } from '../types.ts'
import type { CatalogDb } from './db.ts'
import { digestId } from './digests.ts'
import { countChange } from './generation.ts'
import { decode } from './rows.ts'
import type { CatalogTables } from './tables.ts'

export function toolQueries(db: CatalogDb): Pick<Catalog, 'tools' | 'tool' | 'addTool' | 'removeTool'> {
  return {
    tools: () => db.read('listing tools', (q) => selectTools(q)),

    tool: (name, version) =>
      db.read('looking up a tool', async (q) => (await selectTools(q, name, version)).at(-1) ?? null),

    addTool: (tool) =>
      db.write('adding a tool', async (tx) => {
        refuseTwins(tool)
        const added = await tx
          .insertInto('tools')
          .values({ name: tool.name, version: tool.version, created_at: new Date().toISOString() })
          .onConflict((conflict) => conflict.columns(['name', 'version']).doNothing())
          .returning('id')
          .executeTakeFirst()
        if (added !== undefined) {
          for (const { name, digest, sizeBytes } of tool.objects) {
            const object = { tool_id: added.id, name, object_id: await digestId(tx, digest, sizeBytes) }
            await tx.insertInto('tool_objects').values(object).execute()
          }
          await countChange(tx)
        }
        const kept = (await selectTools(tx, tool.name, tool.version)).at(-1)
        if (kept === undefined) throw new StoreError('CORRUPT', `catalog: tool ${tool.name} vanished`)
        refuseChange(kept, tool.objects)
        return kept
      }),

    removeTool: (name, version) =>
      db.write('removing a tool', async (tx) => {
        let removal = tx.deleteFrom('tools').where('name', '=', name)
        if (version !== undefined) removal = removal.where('version', '=', version)
        const removed = Number((await removal.executeTakeFirst()).numDeletedRows)
        if (removed > 0) await countChange(tx)
        return removed
      }),
  }
}

/** Tools in the order that they were added, each with its objects by name. */
async function selectTools(q: Kysely<CatalogTables>, name?: string, version?: string): Promise<Tool[]> {
  let toolQuery = q.selectFrom('tools').selectAll().orderBy('id')
  if (name !== undefined) toolQuery = toolQuery.where('name', '=', name)
  if (version !== undefined) toolQuery = toolQuery.where('version', '=', version)
  const tools = (await toolQuery.execute()).map(decode.tool)

  let objectQuery = q
    .selectFrom('tool_objects')
    .innerJoin('tools', 'tools.id', 'tool_objects.tool_id')
    .innerJoin('digests', 'digests.id', 'tool_objects.object_id')
    .select(['tool_objects.tool_id', 'tool_objects.name', 'digests.digest', 'digests.size_bytes'])
  if (name !== undefined) objectQuery = objectQuery.where('tools.name', '=', name)
  if (version !== undefined) objectQuery = objectQuery.where('tools.version', '=', version)
  const objects = new Map<number, ToolObject[]>()
  for (const row of await objectQuery.execute()) {
    const ofTool = objects.get(row.tool_id) ?? []
    objects.set(row.tool_id, [...ofTool, decode.toolObject(row)])
  }
  return tools.map((tool) => ({ ...tool, objects: byName(objects.get(tool.id) ?? []) }))
}

function byName(objects: readonly ToolObject[]): readonly ToolObject[] {
  return objects.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function refuseTwins(tool: Omit<Tool, 'id' | 'createdAt'>): void {
  const names = new Set<string>()
  for (const { name } of tool.objects) {
    if (names.has(name)) {
      const message = `tool ${tool.name}@${tool.version} has two objects named ${name}`
      throw new StoreError('CONFLICT', message)
    }
    names.add(name)
  }
}

/** A tool's version means the same objects for ever: agents and caches rely on it. */
function refuseChange(kept: Tool, offered: readonly ToolObject[]): void {
  const list = (objects: readonly ToolObject[]): string =>
    byName(objects)
      .map(({ name, digest }) => `${name} ${digest}`)
      .join(', ')
  if (list(kept.objects) === list(offered)) return
  throw new StoreError(
    'CONFLICT',
    `tool ${kept.name}@${kept.version} is there with ${list(kept.objects)}, offered with ${list(offered)}: ` +
      'give the new objects a new version',
  )
}
