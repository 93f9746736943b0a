import { sha256Of, type Sha256 } from '../../core/digest.ts'
import { shardDigits, shardOfBuildId, shardOfRelease } from '../../core/signed-index/index.ts'
import { hubVersion } from '../../core/version.ts'
import type { BlobRef, Build, Tool } from '../../store/types.ts'
import type { BuildIdShard, BuildShard, SignedIndex, ToolList } from '../api.ts'
import { formatTool, ToolIndex } from '../tool-index.ts'
import { toBuild, toTool } from '../wire.ts'

/** What an index is about. */
export interface Indexed {
  readonly builds: readonly Build[]
  readonly tools: readonly Tool[]
  /** Min BTF by full BTF, by the id of the tool. */
  readonly minBtfs: ReadonlyMap<number, ReadonlyMap<Sha256, BlobRef>>
}

/** An index but for its age and what only a tree of files has, and the documents that it names. */
export interface IndexDocuments {
  readonly parts: Pick<
    SignedIndex,
    'format' | 'hub_version' | 'builds' | 'tools' | 'tool_list' | 'release_shards' | 'build_id_shards'
  >
  readonly documents: ReadonlyMap<Sha256, Uint8Array>
}

/** Makes the documents of an index: the same builds and tools give the same bytes. */
export function indexDocuments(indexed: Indexed): IndexDocuments {
  const documents = new Map<Sha256, Uint8Array>()
  const keep = (value: BuildShard | BuildIdShard | ToolList): Sha256 => {
    const bytes = Buffer.from(`${JSON.stringify(value)}\n`)
    const digest = sha256Of(bytes)
    documents.set(digest, bytes)
    return digest
  }
  const tools = [...new ToolIndex(indexed.tools).names.values()].flat()
  const digits = shardDigits(indexed.builds.length)
  const byShard: Build[][] = Array.from({ length: 16 ** digits }, () => [])
  for (const build of indexed.builds) byShard[shardOfRelease(build.kernel.release, digits)]?.push(build)
  return {
    parts: {
      format: 1,
      hub_version: hubVersion,
      builds: indexed.builds.length,
      tools: tools.map(formatTool),
      tool_list: keep({ tools: tools.map(toTool) }),
      release_shards: byShard.map((builds) => keep(buildShard(builds, tools, indexed.minBtfs))),
      build_id_shards: buildIdShards(indexed.builds, digits).map(keep),
    },
    documents,
  }
}

/** Newest builds first, as they are asked for. */
function buildShard(
  builds: readonly Build[],
  tools: readonly Tool[],
  minBtfs: Indexed['minBtfs'],
): BuildShard {
  const places = new Map<Sha256, number>()
  const contents: BuildShard['contents'] = []
  const placeOf = ({ digest, sizeBytes }: BlobRef): number => {
    const known = places.get(digest)
    if (known !== undefined) return known
    places.set(digest, contents.length)
    return contents.push({ digest, size_bytes: sizeBytes }) - 1
  }
  const newestFirst = builds.toSorted((a, b) => b.id - a.id)
  return {
    builds: newestFirst.map((build) => ({
      ...toBuild(build),
      id: build.id,
      key: build.key,
      min: tools.map((tool) => {
        const min = minBtfs.get(tool.id)?.get(build.btf.digest)
        return min === undefined ? -1 : placeOf(min)
      }),
    })),
    contents,
  }
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
