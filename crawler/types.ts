import { HubError } from '../core/errors.ts'
import type { Http } from '../core/http.ts'
import type { Arch } from '../core/kernel.ts'
import type { KernelPackage, PackageFile } from '../core/kernel-package.ts'
import type { Log } from '../core/log.ts'
import type { PayloadProof, SignedHead } from '../core/package-proof.ts'

/**
 * `ILL`: a mirror could not be asked. `MALFORMED`: an index that contradicts its format. `BAD_DIGEST`: an index that
 * is not what the signed file says. `BAD_SIGNATURE`: a signature that does not hold or is of nobody we know.
 * `STALE`: well signed, but for another suite or for a time that has passed. `NO_MIRROR`: nobody to ask for a suite.
 * `BAD_SOURCE`: a file under data/sources is wrong. `TOOL`: an external program is missing or failed.
 */
export type CrawlErrorCode =
  'ILL' | 'MALFORMED' | 'BAD_DIGEST' | 'BAD_SIGNATURE' | 'STALE' | 'NO_MIRROR' | 'BAD_SOURCE' | 'TOOL'
export class CrawlError extends HubError<CrawlErrorCode> {}

/** What is remembered of an index between runs, so that an unchanged one costs one conditional request or none. */
export interface IndexMemo {
  readonly etag: string | null
  readonly lastModified: string | null
  /** Digest of the bytes that `value` was made from. */
  readonly sha256: string
  /** JSON, in the form of whoever stored it. */
  readonly value: string
}

/** Memory of indexes by URL (plus what else makes the value different). The store implements it. */
export interface IndexCache {
  get(key: string): Promise<IndexMemo | null>
  put(key: string, memo: IndexMemo): Promise<void>
}

export interface CrawlContext {
  readonly http: Http
  readonly cache: IndexCache
  readonly log: Log
  readonly signal: AbortSignal
}

/** Which part of a source is wanted; empty lists mean all. */
export interface CrawlScope {
  readonly versions: readonly string[]
  readonly arches: readonly Arch[]
  /** Base URLs that replace the source's own mirrors; empty for the source's. */
  readonly mirrors: readonly string[]
  /**
   * True asks also what is remembered of packages that have left their archive for more, which can take many requests;
   * else what is known of them already is all that is given.
   */
  readonly past?: boolean
  /** True asks also for what no mirror had not long ago. */
  readonly again?: boolean
}

/** One index that was read, or why it was not. A failed listing says nothing about the kernels in it. */
export interface IndexReport {
  /** `debian/12 bookworm-security amd64`. */
  readonly index: string
  /** What it is an index of. */
  readonly version: string
  readonly arch: Arch
  readonly url: string
  readonly outcome: 'new' | 'unchanged' | 'absent' | 'failed'
  /** Bytes that came over the wire for it. */
  readonly bytes: number
  /** True where the digest chain starts at a signature that was verified. */
  readonly signed: boolean
  readonly reason: string | null
  /** True where it has more than was asked for: what is missing is not gone. */
  readonly partial?: boolean
  /** True where it remembers what archives had: of what they have now, others list all packages. */
  readonly past?: boolean
  /** Of an absent one that was not asked for now: when it will be, ISO 8601. */
  readonly notBefore?: string
}

/** What a source offers now. */
export interface Listing {
  readonly packages: readonly KernelPackage[]
  readonly indexes: readonly IndexReport[]
  /** True where indexes were left out, because no mirror that was given is for them: what is missing is not gone. */
  readonly partial?: boolean
}

/** Whose key signed a package, and what of that the payload has yet to show; or why nobody's did. */
export type PackageJudgement =
  { readonly by: string; readonly proof: PayloadProof | null } | { readonly by: null; readonly why: string }

/** Tells of packages whether they are signed by whom a source trusts. */
export interface PackageTrust {
  /** Throws `BAD_SIGNATURE` for a signature of a known key that is not of this package, or of another than was asked for. */
  judge(file: PackageFile, url: string, head: SignedHead): Promise<PackageJudgement>
}

/** A distribution that can be asked. */
export interface Source {
  readonly id: string
  /** Orders package versions as the distribution's package manager does; dpkg's order where it is missing. */
  compareVersions?(a: string, b: string): number
  /** Every kernel that the scope's indexes offer now; an index that could not be read is in the report. */
  list(scope: CrawlScope, context: CrawlContext): Promise<Listing>
  /**
   * The same files with what their index did not say but is told when somebody asks for one of them: sizes and digests.
   * To be called for what is about to be downloaded and nothing else. What nobody tells anything about stays as it is.
   */
  details?(files: readonly PackageFile[], context: CrawlContext): Promise<readonly PackageFile[]>
  /** Null where no keys for its packages are there. Throws as `list` does for keyrings. */
  packageTrust?(context: CrawlContext): Promise<PackageTrust | null>
}
