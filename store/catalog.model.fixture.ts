import type { Sha256 } from '../core/digest.ts'
import { StoreError, type BlobRef, type Build, type Catalog, type Failure, type Tool } from './types.ts'

type TokenQueries = Pick<Catalog, 'tokens' | 'addToken' | 'rotateToken' | 'removeToken'>
type ModuleQueries = Pick<Catalog, 'modules' | 'buildsWithModules' | 'putModules'>
type CatalogModel = Omit<
  Catalog,
  'check' | 'references' | 'indexMemo' | 'putIndexMemo' | keyof ModuleQueries | keyof TokenQueries
>

const DAYS = [0, 1, 2, 4, 8, 16]

/** A catalog in plain lists and maps, as short as its contract allows: what the real ones are compared with. */
export function createCatalogModel(): Catalog {
  let generation = 0
  let minChanges = 0
  let lastToolId = 0
  const builds: Build[] = []
  const failures = new Map<string, Failure>()
  let tools: Tool[] = []
  const mins = new Map<number, Map<Sha256, BlobRef>>()
  const derived = new Map<Sha256, Map<string, BlobRef>>()

  const used = (): Set<Sha256> =>
    new Set([
      ...builds.map((build) => build.btf.digest),
      ...tools.flatMap((tool) => tool.objects.map((object) => object.digest)),
      ...tools.flatMap((tool) => [...(mins.get(tool.id)?.values() ?? [])].map((min) => min.digest)),
    ])

  const model: CatalogModel = {
    generation: async () => generation,
    builds: async () => builds,
    buildByKey: async (key) => builds.find((build) => build.key === key) ?? null,
    async addBuild(build) {
      const kept = builds.find((each) => each.key === build.key)
      if (kept !== undefined && kept.btf.digest !== build.btf.digest)
        throw new StoreError('CONFLICT', build.key)
      failures.delete(build.key)
      if (kept !== undefined) return kept
      const added = { ...build, id: builds.length + 1 }
      builds.push(added)
      generation++
      return added
    },

    failures: async () => [...failures.values()],
    failure: async (key) => failures.get(key) ?? null,
    async addFailure(failure) {
      const tries = (failures.get(failure.key)?.tries ?? 0) + 1
      const next = Date.parse(failure.lastTryAt) + (DAYS[tries] ?? 30) * 86_400_000
      const kept = { ...failure, tries, nextTryAt: new Date(next).toISOString() }
      failures.set(failure.key, kept)
      return kept
    },

    tools: async () => tools,
    tool: async (name, version) =>
      tools.findLast((tool) => tool.name === name && (version ?? tool.version) === tool.version) ?? null,
    async addTool(tool) {
      const kept = tools.find((each) => each.name === tool.name && each.version === tool.version)
      if (kept !== undefined && kept.objects[0]?.digest !== tool.objects[0]?.digest) {
        throw new StoreError('CONFLICT', tool.name)
      }
      if (kept !== undefined) return kept
      const added = { ...tool, id: ++lastToolId, createdAt: '' }
      tools.push(added)
      generation++
      return added
    },
    async removeTool(name, version) {
      const kept = tools.filter((tool) => tool.name !== name || (version ?? tool.version) !== tool.version)
      const removed = tools.length - kept.length
      tools = kept
      if (removed > 0) generation++
      return removed
    },

    minBtf: async (toolId, btf) => mins.get(toolId)?.get(btf) ?? null,
    minBtfs: async (toolId) => mins.get(toolId) ?? new Map<Sha256, BlobRef>(),
    minBtfsOf: async (btfs) =>
      new Map(
        [...mins].map(([id, ofTool]) => [id, new Map([...ofTool].filter(([btf]) => btfs.includes(btf)))]),
      ),
    minChanges: async () => minChanges,
    async putMinBtf(toolId, btf, min) {
      if (!tools.some((tool) => tool.id === toolId)) throw new StoreError('NOT_FOUND', String(toolId))
      minChanges++
      mins.set(toolId, (mins.get(toolId) ?? new Map<Sha256, BlobRef>()).set(btf, min))
    },

    derived: async (from, form) => derived.get(from)?.get(form) ?? null,
    async putDerived(from, form, to) {
      derived.set(from, (derived.get(from) ?? new Map<string, BlobRef>()).set(form, to))
    },
    async referencedBlobs() {
      const sources = used()
      const made = [...derived]
        .filter(([from]) => sources.has(from))
        .flatMap(([, forms]) => [...forms.values()])
      return new Set([...sources, ...made.map((blob) => blob.digest)])
    },
    async prune() {
      const sources = used()
      const gone = [...derived].filter(([from]) => !sources.has(from))
      for (const [from] of gone) derived.delete(from)
      return gone.reduce((sum, [, forms]) => sum + forms.size, 0)
    },
    close: async () => {},
  }
  return model as Catalog
}
