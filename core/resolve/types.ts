import type { Sha256 } from '../digest.ts'
import { HubError } from '../errors.ts'
import type { Kernel } from '../kernel.ts'

/** What has to be known of a build to tell it from others; a store's and an index's builds are such. */
export interface KnownBuild {
  /** Grows with time: of two builds of one kernel, the newer has the higher. */
  readonly id: number
  readonly kernel: Kernel
  readonly btf: { readonly digest: Sha256 }
  /** Builds that share it are interchangeable for CO-RE relocation. */
  readonly layoutDigest: Sha256
  readonly provenance: {
    readonly buildId: string | null
    /** That of the debug package's vmlinux, where it is known. */
    readonly debugBuildId?: string | null
    readonly banner: string | null
    readonly packageVersion: string | null
  }
}

/** `BAD_REQUEST`: a fact that cannot be. `CONTRADICTION`: two facts that exclude each other. */
export class FactsError extends HubError<'BAD_REQUEST' | 'CONTRADICTION'> {}
