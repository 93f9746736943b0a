/** The signed index of a hub: keys, the signed text, its age, the manifest of a tree, and how builds are sharded. No I/O. */
export { open, type Opened, requireTrusted, seal } from './envelope.ts'
export { IndexError, type IndexErrorCode } from './errors.ts'
export { type Aged, checkFresh, nextVersion } from './freshness.ts'
export {
  generateKeyPem,
  parsePublicKey,
  parseSigningKey,
  type PublicKeyText,
  type SigningKey,
} from './keys.ts'
export { checkTreePath, manifestLines, type ManifestEntry, parseManifest } from './manifest.ts'
export { MAX_SHARD_DIGITS, shardDigits, shardOfBuildId, shardOfRelease } from './shards.ts'
