import { sha256Of } from '../digest.ts'

/** Entries of one shard, on average at most: some 100 KB of JSON, and 256 digests for 20,000 kernels. */
const SHARD_SIZE = 128
/** 4096 shards serve half a million entries. */
export const MAX_SHARD_DIGITS = 3

/** How many hex digits tell shards apart, so that each has about {@link SHARD_SIZE} of `count` entries. */
export function shardDigits(count: number): number {
  let digits = 0
  while (digits < MAX_SHARD_DIGITS && count > SHARD_SIZE * 16 ** digits) digits++
  return digits
}

/** Which of the 16^digits shards a release is in. */
export function shardOfRelease(release: string, digits: number): number {
  return shardOfHex(sha256Of(release), digits)
}

/** Which shard a build-id is in. Those are hashes themselves. */
export function shardOfBuildId(buildId: string, digits: number): number {
  return shardOfHex(buildId, digits)
}

function shardOfHex(hex: string, digits: number): number {
  return digits === 0 ? 0 : Number.parseInt(hex.slice(0, digits), 16)
}
