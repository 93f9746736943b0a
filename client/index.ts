/** Finds and fetches verified BTF from hubs; what `btfhub get` stands on. */
export { agentEnvironment } from './agents.ts'
export { BtfCache, defaultCacheDir } from './cache.ts'
export { type Client, type ClientOptions, createClient, type Fetched } from './client.ts'
export { ClientError, type ClientErrorCode } from './errors.ts'
export { type Form, FORMS } from './forms.ts'
export { get, type GetOptions, type Got, installPath, place, releaseOf } from './get.ts'
export { type Host, readHost } from './host.ts'
export { HubConnection, type Timeouts } from './hub.ts'
export type { NamedObject } from './minimize.ts'
export type { KernelQuery } from './query.ts'
export { askIndex, type AskIndexOptions, indexedBuilds } from './ask-index.ts'
export {
  IndexDocuments,
  type IndexSource,
  type IndexTrust,
  MissingDocument,
  openIndex,
  type ShardBuild,
} from './index-documents.ts'
export { SeenVersions } from './seen-versions.ts'
