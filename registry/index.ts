/** The registry: serves BTF and min BTF of a store over HTTP (DESIGN 6). */
export type { AccessEntry, AccessLog } from './access-log.ts'
export { parseTrust, type ProxyTrust } from './client-address.ts'
export type { RateLimits } from './rate-limit.ts'
export { createApp } from './app.ts'
export { type Content, memoryContent } from './content.ts'
export { type BundlePacking, countsOf, type PackedBundle, packBundle } from './pack-bundle.ts'
export { nameModules } from './name-modules.ts'
export { groupsOfBuilds, type BuildGroup } from './check-objects.ts'
export { MinBtfs } from './min-btfs.ts'
export { RegistryError } from './errors.ts'
export type { KernelFacts } from '../core/resolve/facts.ts'
export { createHub, type Hub, type RegistryDeps } from './hub.ts'
export { type Supplier, type Supply, SupplyError } from './supplier.ts'
export type { JustInTimeOptions } from './just-in-time.ts'
export {
  defaultServerLimits,
  type RunningRegistry,
  type ServerLimits,
  type ServerOptions,
  startRegistry,
} from './server.ts'
export { readGetScript } from './get-script.ts'
export { derivedFormOf } from './forms.ts'
export { type Indexed, indexDocuments, type IndexParts, moduleList } from './signed-index/documents.ts'
export type { IndexDocument, PublishedIndex, SignedText } from './signed-index/published.ts'
export { formatTarTree, putTar, type TarTree } from './tar-catalog.ts'
export type { MakeMinBtfs } from './tool-work.ts'
export { formatTool, ToolIndex } from './tool-index.ts'
export { blobPath, toKernelDetail } from './wire.ts'
