import { sleep } from '../core/hosts.ts'
import type { ResolveAnswer, ResolveRequest } from '../registry/api.ts'
import { ClientError } from './errors.ts'
import type { HubConnection } from './hub.ts'
import {
  type IndexDocuments,
  type IndexSource,
  type IndexTrust,
  MissingDocument,
  openIndex,
  type ShardBuild,
} from './index-documents.ts'
import { NoMinBtf, resolveFromIndex } from './index-resolve.ts'
import { type IndexVariant, readVariant } from './index-variant.ts'

/** How long the index of a hub that runs may lack what the hub has: it follows within seconds, a very large one within a minute. */
const LAG_MS = 120_000
const LOOK_EVERY_MS = 1000

/** What an index says, and whether it is that of a server of plain files. */
export interface IndexAnswer {
  readonly answer: ResolveAnswer
  readonly isTree: boolean
}

/** Whose index is believed. */
export interface AskIndexOptions extends Omit<IndexTrust, 'now'> {
  readonly signal: AbortSignal
}

/**
 * What the signed index of a hub says of a kernel; null where the hub has no index. A hub that runs may be able to get
 * what its index has not: it is asked, and what it says is worth nothing until its index says it too. Throws ClientError;
 * `NOT_FOUND` for what no index has.
 */
export async function askIndex(
  hub: HubConnection,
  request: ResolveRequest,
  how: AskIndexOptions,
): Promise<IndexAnswer | null> {
  const variant = readVariant(hub.url, request)
  const first = await look(hub, request, variant, how)
  if (first === null || !('lacks' in first)) return first
  if (first.isTree) throw first.lacks
  // A guess is in no index.
  const { predict: _predict, ...asked } = request
  await hub.resolve(asked, how.signal)
  for (const until = performance.now() + LAG_MS; performance.now() < until;) {
    const now = await look(hub, request, variant, how)
    if (now === null || !('lacks' in now)) return now
    await sleep(LOOK_EVERY_MS, how.signal)
  }
  throw new ClientError('UNVERIFIED', `${hub.url}: says that it has it, but its signed index does not`)
}

/** All builds of a release that the signed index of a hub has; null where the hub has no index. Throws the same. */
export function indexedBuilds(
  hub: HubConnection,
  release: string,
  how: AskIndexOptions,
): Promise<readonly ShardBuild[] | null> {
  return withIndex(hub, how, async (documents) => {
    const inShard = await documents.byRelease(release)
    return inShard.filter(({ kernel }) => kernel.release === release)
  })
}

/** Also what it is that an index lacks. */
type Look = IndexAnswer | { readonly lacks: ClientError; readonly isTree: boolean }

function look(
  hub: HubConnection,
  request: ResolveRequest,
  variant: IndexVariant,
  how: AskIndexOptions,
): Promise<Look | null> {
  return withIndex(hub, how, async (documents) => {
    const isTree = documents.index.manifest !== null
    try {
      return { answer: await resolveFromIndex(hub.url, documents, request, variant), isTree }
    } catch (err) {
      const isLack = err instanceof ClientError && (err.code === 'NOT_FOUND' || err instanceof NoMinBtf)
      if (!isLack) throw err
      return { lacks: err, isTree }
    }
  })
}

/** Documents are asked for again, with a new index, where they were replaced meanwhile. Null where there is no index. */
async function withIndex<T>(
  hub: HubConnection,
  { keys, seen, signal }: AskIndexOptions,
  read: (documents: IndexDocuments) => Promise<T>,
): Promise<T | null> {
  const source: IndexSource = { name: hub.url, read: (path, maxBytes) => hub.file(path, maxBytes, signal) }
  const once = async (): Promise<T | null> => {
    const documents = await openIndex(source, { keys, seen, now: () => new Date() })
    return documents === null ? null : read(documents)
  }
  try {
    return await once()
  } catch (err) {
    if (!(err instanceof MissingDocument)) throw err
    return once()
  }
}
