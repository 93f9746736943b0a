import { parseSha256, type Sha256 } from '../../core/digest.ts'
import { IndexError, nextVersion, open, seal, type SigningKey } from '../../core/signed-index/index.ts'
import { BuildShard, SignedIndex } from '../../registry/api.ts'
import { indexDocuments, moduleList } from '../../registry/index.ts'
import { type Build, type Catalog, withLock } from '../../store/index.ts'
import type { IndexFolder } from './index-folder.ts'

export interface PublishOptions {
  /** At least one. */
  readonly keys: readonly SigningKey[]
  /** How long an index is to be believed. */
  readonly lifetimeMs: number
  readonly now: Date
}

export interface Published {
  /** What {@link stampOf} gave before the catalog was read. */
  readonly stamp: string
  readonly version: number
}

/** What an index is made of changes where this does. */
export async function stampOf(catalog: Pick<Catalog, 'generation' | 'minChanges'>): Promise<string> {
  return `${await catalog.generation()} ${await catalog.minChanges()}`
}

/**
 * Makes the index of what a catalog has now, and signs it; where the one that is there says the same and has more than
 * half of its life before it, that one stays. One at a time on a folder, and the catalog is read while it is ours: a
 * higher version is never of an older state. Throws StoreError, `BUSY` where another process is at it; then, and after a
 * kill, the index before is in force.
 */
export async function publishIndex(
  catalog: Catalog,
  folder: IndexFolder,
  { keys, lifetimeMs, now }: PublishOptions,
): Promise<Published> {
  await folder.prepare()
  return withLock(folder.path, 'publish', async () => {
    const stamp = await stampOf(catalog)
    const before = await readSigned(folder)
    const named = new Set<Sha256>()
    const keep = async (bytes: Uint8Array): Promise<Sha256> => {
      const digest = await folder.keep(bytes)
      named.add(digest)
      return digest
    }
    const parts = await indexDocuments(
      {
        builds: await catalog.builds(),
        tools: await catalog.tools(),
        minBtfsOf: (btfs) => catalog.minBtfsOf(btfs),
        modulesOf: await moduleLists(catalog, folder, before, { keep, named }),
      },
      keep,
    )
    const index = { ...parts, manifest: null, links: {} }
    const signedBy = keys.map((key) => key.publicKey).join()
    const isFresh = before !== null && leftMs(before.index, now) > lifetimeMs / 2
    let version = before?.index.version ?? 0
    if (!isFresh || before.signedBy !== signedBy || !saysSame(before.index, index)) {
      version = nextVersion(version, now)
      const expires_at = new Date(now.getTime() + lifetimeMs).toISOString()
      const payload: SignedIndex = { version, created_at: now.toISOString(), expires_at, ...index }
      await folder.sign(seal(JSON.stringify(payload), keys))
    }
    await folder.collect(named, now)
    return { stamp, version }
  })
}

interface Signed {
  readonly index: SignedIndex
  readonly signedBy: string
}

/** The index that is there; one that is damaged is as good as none, versions being times. */
async function readSigned(folder: IndexFolder): Promise<Signed | null> {
  const signed = await folder.signed()
  const index = signed === null ? null : parseSigned(signed.text)
  if (signed === null || index === null) return null
  return { index, signedBy: open(signed.text).signedBy.join() }
}

/** An index of this hub's own; null where it is damaged. */
export function parseSigned(text: string): SignedIndex | null {
  try {
    const parsed = SignedIndex.safeParse(JSON.parse(open(text).payload))
    return parsed.success ? parsed.data : null
  } catch (err) {
    if (err instanceof IndexError || err instanceof SyntaxError) return null
    throw err
  }
}

/** How long an index is still to be believed. */
export function leftMs(index: Pick<SignedIndex, 'expires_at'>, now: Date): number {
  return new Date(index.expires_at).getTime() - now.getTime()
}

type Undated = Omit<SignedIndex, 'version' | 'created_at' | 'expires_at'>

function saysSame(
  { version: _v, created_at: _c, expires_at: _e, ...before }: SignedIndex,
  now: Undated,
): boolean {
  const sorted = (value: Undated): string =>
    JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
  return sorted(before) === sorted(now)
}

/** Lists of a build's modules never change, and have some thousand rows each: what an index named before is not read again. */
async function moduleLists(
  catalog: Catalog,
  folder: IndexFolder,
  before: Signed | null,
  { keep, named }: { keep(bytes: Uint8Array): Promise<Sha256>; readonly named: Set<Sha256> },
): Promise<(build: Build) => Promise<Sha256 | null>> {
  const having = await catalog.buildsWithModules()
  if (having.size === 0) return () => Promise.resolve(null)
  const known = before === null ? new Map<string, Sha256>() : await listsBefore(folder, before.index)
  return async ({ id, key }) => {
    if (!having.has(id)) return null
    const list = known.get(key)
    if (list !== undefined && (await folder.has(list))) {
      named.add(list)
      return list
    }
    const modules = await catalog.modules(id)
    return modules === null ? null : keep(moduleList(modules))
  }
}

async function listsBefore(folder: IndexFolder, index: SignedIndex): Promise<ReadonlyMap<string, Sha256>> {
  const lists = new Map<string, Sha256>()
  for (const text of index.release_shards) {
    const digest = parseSha256(text)
    const found = digest === null ? null : await folder.read(digest)
    if (found === null || found === 'damaged') continue
    const { builds } = BuildShard.parse(JSON.parse(Buffer.from(found.plain).toString('utf8')))
    for (const { key, modules } of builds) {
      const list = parseSha256(modules ?? '')
      if (list !== null) lists.set(key, list)
    }
  }
  return lists
}
