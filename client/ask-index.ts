import { join } from 'node:path'
import type { PublicKeyText } from '../core/signed-index/index.ts'
import type { ResolveAnswer, ResolveRequest } from '../registry/api.ts'
import type { BtfCache } from './cache.ts'
import { ClientError } from './errors.ts'
import type { HubConnection } from './hub.ts'
import { type IndexSource, type IndexTrust, MissingDocument, openIndex } from './index-documents.ts'
import { resolveFromIndex } from './index-resolve.ts'
import { SeenVersions } from './seen-versions.ts'

/** In the cache; the format's version is in the name. */
const SEEN = 'seen-v1'

/**
 * What the signed index of a hub says of a kernel; null where the hub has no index. Documents are asked for again, with a
 * new index, where they were replaced meanwhile. Throws ClientError; `NOT_FOUND` for what no index has.
 */
export async function askIndex(
  hub: HubConnection,
  request: ResolveRequest,
  how: { readonly keys: readonly PublicKeyText[]; readonly cache: BtfCache; readonly signal: AbortSignal },
): Promise<ResolveAnswer | null> {
  const { variant = 'full', module, compat = 'native' } = request
  if (variant !== 'full' || module !== undefined || compat !== 'native') {
    throw new ClientError('NOT_FOUND', `${hub.url}: a tree of files has no modules and no compat levels`)
  }
  const source: IndexSource = {
    name: hub.url,
    read: (path, maxBytes) => hub.file(path, maxBytes, how.signal),
  }
  await how.cache.prepare(SEEN)
  const trust: IndexTrust = {
    keys: how.keys,
    seen: new SeenVersions(join(how.cache.dir, SEEN)),
    now: () => new Date(),
  }
  const once = async (): Promise<ResolveAnswer | null> => {
    const documents = await openIndex(source, trust)
    return documents === null ? null : resolveFromIndex(hub.url, documents, request)
  }
  try {
    return await once()
  } catch (err) {
    if (!(err instanceof MissingDocument)) throw err
    return once()
  }
}
