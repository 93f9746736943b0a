import type { Sha256 } from '../../core/digest.ts'
import { shardDigits, shardOfBuildId, shardOfRelease } from '../../core/signed-index/index.ts'
import { hubVersion } from '../../core/version.ts'
import type { BlobRef, Build, BuildModules, Catalog, Tool } from '../../store/types.ts'
import type { BuildIdShard, BuildShard, ModuleList, SignedIndex, ToolList } from '../api.ts'
import { formatTool, ToolIndex } from '../tool-index.ts'
import { toBuild, toTool } from '../wire.ts'

/** What an index is about. */
export interface Indexed {
  readonly builds: readonly Build[]
  readonly tools: readonly Tool[]
  /** Min BTF of some full BTFs, by the id of the tool and the full BTF. */
  readonly minBtfsOf: Catalog['minBtfsOf']
  /** The digest of a build's {@link moduleList}; null where there is none. */
  readonly modulesOf: (build: Build) => Promise<Sha256 | null>
}

/** An index but for its age and what only a tree of files has. */
export type IndexParts = Pick<
  SignedIndex,
  'format' | 'hub_version' | 'builds' | 'tools' | 'tool_list' | 'release_shards' | 'build_id_shards'
>

/** Takes a document of an index, and says what it is called by from now on: its digest. */
export type KeepDocument = (bytes: Uint8Array) => Promise<Sha256>

/**
 * Makes the documents of an index, one after the other, so that no more than one has to be held: the same builds and
 * tools give the same bytes. Throws what `keep` and looking throw.
 */
export async function indexDocuments(indexed: Indexed, keep: KeepDocument): Promise<IndexParts> {
  const tools = [...new ToolIndex(indexed.tools).names.values()].flat()
  const digits = shardDigits(indexed.builds.length)
  const byShard: Build[][] = Array.from({ length: 16 ** digits }, () => [])
  for (const build of indexed.builds) byShard[shardOfRelease(build.kernel.release, digits)]?.push(build)
  const release_shards: Sha256[] = []
  for (const builds of byShard)
    release_shards.push(await keep(toBytes(await buildShard(builds, tools, indexed))))
  const build_id_shards: Sha256[] = []
  for (const shard of buildIdShards(indexed.builds, digits)) build_id_shards.push(await keep(toBytes(shard)))
  const list: ToolList = { tools: tools.map(toTool) }
  return {
    format: 1,
    hub_version: hubVersion,
    builds: indexed.builds.length,
    tools: tools.map(formatTool),
    tool_list: await keep(toBytes(list)),
    release_shards,
    build_id_shards,
  }
}

/** The document that says which modules a build has. */
export function moduleList({ modules, merged, mergedLayout }: BuildModules): Uint8Array {
  return toBytes({
    merged: { digest: merged.digest, size_bytes: merged.sizeBytes },
    merged_layout: mergedLayout,
    modules: modules.map(({ name, origin, btf }) => ({
      name,
      origin,
      digest: btf.digest,
      size_bytes: btf.sizeBytes,
    })),
  })
}

function toBytes(value: BuildShard | BuildIdShard | ToolList | ModuleList): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}

/** Newest builds first, as they are asked for. */
async function buildShard(
  builds: readonly Build[],
  tools: readonly Tool[],
  { minBtfsOf, modulesOf }: Indexed,
): Promise<BuildShard> {
  const places = new Map<Sha256, number>()
  const contents: BuildShard['contents'] = []
  const placeOf = ({ digest, sizeBytes }: BlobRef): number => {
    const known = places.get(digest)
    if (known !== undefined) return known
    places.set(digest, contents.length)
    return contents.push({ digest, size_bytes: sizeBytes }) - 1
  }
  const newestFirst = builds.toSorted((a, b) => b.id - a.id)
  const minBtfs = await minBtfsOf(newestFirst.map(({ btf }) => btf.digest))
  const indexed: BuildShard['builds'] = []
  for (const build of newestFirst) {
    indexed.push({
      ...toBuild(build),
      id: build.id,
      key: build.key,
      min: tools.map((tool) => {
        const min = minBtfs.get(tool.id)?.get(build.btf.digest)
        return min === undefined ? -1 : placeOf(min)
      }),
      modules: await modulesOf(build),
    })
  }
  return { builds: indexed, contents }
}

function buildIdShards(builds: readonly Build[], digits: number): BuildIdShard[] {
  const releases = new Map<string, Set<string>>()
  for (const { kernel, provenance } of builds) {
    for (const id of [provenance.buildId, provenance.debugBuildId]) {
      if (id === null) continue
      const known = releases.get(id) ?? new Set()
      releases.set(id, known.add(kernel.release))
    }
  }
  const shards: BuildIdShard[] = Array.from({ length: 16 ** digits }, () => ({}))
  for (const [buildId, of] of [...releases].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const shard = shards[shardOfBuildId(buildId, digits)] as BuildIdShard
    shard[buildId] = [...of].sort()
  }
  return shards
}
