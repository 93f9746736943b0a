import type { z } from 'zod'
import { parseSha256, sha256Of, type Sha256 } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import {
  checkFresh,
  IndexError,
  open,
  type PublicKeyText,
  requireTrusted,
  shardOfBuildId,
  shardOfRelease,
} from '../core/signed-index/index.ts'
import type * as api from '../registry/api.ts'
import { ClientError } from './errors.ts'
import type { SeenVersions } from './seen-versions.ts'

/** Where the files of an index come from: a hub, or a folder. */
export interface IndexSource {
  /** For messages, and to remember versions by. */
  readonly name: string
  /** A file at most so large; null where there is none. Throws where nobody knows. */
  read(path: string, maxBytes: number): Promise<Uint8Array | null>
}

/** Whose indexes are believed. */
export interface IndexTrust {
  /** Without any, an index is only checked against the key that it names itself: for damage, not for forgery. */
  readonly keys: readonly PublicKeyText[]
  readonly seen: SeenVersions
  readonly now: () => Date
}

/** A build as an index has it, with its min BTF looked up. */
export interface ShardBuild extends Omit<api.IndexedBuild, 'min'> {
  /** For each tool of the index its min BTF; null where there is none. */
  readonly min: readonly (api.BuildShard['contents'][number] | null)[]
}

const MAX_INDEX_BYTES = limits.index.maxSignedBytes

/** An index that was verified, and its documents, each fetched when it is needed and checked against its digest. */
export class IndexDocuments {
  readonly index: api.SignedIndex
  /** The trusted key that signed it; null where none was given. */
  readonly trustedKey: PublicKeyText | null
  readonly #source: IndexSource

  constructor(source: IndexSource, index: api.SignedIndex, trustedKey: PublicKeyText | null) {
    this.#source = source
    this.index = index
    this.trustedKey = trustedKey
  }

  /** Builds of a release, and what else is in its shard; newest first. */
  async byRelease(release: string): Promise<ShardBuild[]> {
    const { release_shards: shards } = this.index
    return this.shard(shardOfRelease(release, digitsOf(shards)))
  }

  /** One of the shards that have all builds. */
  async shard(number: number): Promise<ShardBuild[]> {
    const { BuildShard } = await schemas()
    const { builds, contents } = await this.document(this.index.release_shards[number], BuildShard)
    return builds.map((build) => ({ ...build, min: build.min.map((at) => contents[at] ?? null) }))
  }

  /** The modules of a build; null where it has none here. */
  async modules({ modules }: Pick<ShardBuild, 'modules'>): Promise<api.ModuleList | null> {
    if (modules === null) return null
    const { ModuleList } = await schemas()
    return this.document(modules, ModuleList)
  }

  /** Releases of the builds with a build-id. */
  async releasesOf(buildId: string): Promise<readonly string[]> {
    const { build_id_shards: shards } = this.index
    const { BuildIdShard } = await schemas()
    const shard = await this.document(shards[shardOfBuildId(buildId, digitsOf(shards))], BuildIdShard)
    return shard[buildId] ?? []
  }

  /** Throws ClientError `UNVERIFIED` where it is missing or damaged. */
  async document<T>(text: string | undefined, schema: z.ZodType<T>): Promise<T> {
    const digest = parseSha256(text ?? '')
    if (digest === null) throw unverified(this.#source, 'its index has no such shard')
    const parsed = schema.safeParse(JSON.parse(Buffer.from(await this.#bytes(digest)).toString('utf8')))
    if (parsed.success) return parsed.data
    throw unverified(this.#source, `document ${digest} of its index is not what it should be`)
  }

  async #bytes(digest: Sha256): Promise<Uint8Array> {
    const bytes = await this.#source.read(`/v1/blobs/sha256/${digest}`, limits.index.maxShardBytes)
    if (bytes === null) throw new MissingDocument(this.#source, digest)
    const got = sha256Of(bytes)
    if (got === digest) return bytes
    throw unverified(this.#source, `document of its index: sha256 is ${got}, expected ${digest}`)
  }
}

/** A document that is gone: the index may have been replaced since it was read. */
export class MissingDocument extends ClientError {
  constructor(source: IndexSource, digest: Sha256) {
    super('UNVERIFIED', `${source.name}: document ${digest} of its index is missing`)
  }
}

/**
 * Reads the signed index of a source and checks it as far as keys are given; null where it has none. Throws ClientError
 * `UNVERIFIED` with why it is not believed.
 */
export async function openIndex(source: IndexSource, trust: IndexTrust): Promise<IndexDocuments | null> {
  const bytes = await source.read('/v1/index.json', MAX_INDEX_BYTES)
  if (bytes === null) return null
  try {
    const opened = open(Buffer.from(bytes).toString('utf8'))
    const { SignedIndex } = await schemas()
    const parsed = SignedIndex.safeParse(JSON.parse(opened.payload))
    if (!parsed.success) throw new IndexError('BAD_INDEX', 'what is signed is not an index of this format')
    if (trust.keys.length === 0) return new IndexDocuments(source, parsed.data, null)
    const key = requireTrusted(opened, trust.keys)
    checkFresh(parsed.data, await trust.seen.highest(source.name, key), trust.now())
    await trust.seen.saw(source.name, key, parsed.data.version)
    return new IndexDocuments(source, parsed.data, key)
  } catch (err) {
    if (!(err instanceof IndexError) && !(err instanceof SyntaxError)) throw err
    throw new ClientError('UNVERIFIED', `${source.name}: its signed index is not believed: ${err.message}`, {
      cause: err,
    })
  }
}

/** Only when they are needed: they have zod with them, and `get` is to start fast. */
async function schemas(): Promise<typeof api> {
  return import('../registry/api.ts')
}

function digitsOf(shards: readonly string[]): number {
  return Math.round(Math.log2(shards.length) / 4)
}

function unverified(source: IndexSource, what: string): ClientError {
  return new ClientError('UNVERIFIED', `${source.name}: ${what}`)
}
