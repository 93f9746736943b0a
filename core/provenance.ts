import type { Sha256 } from './digest.ts'

/** `embedded`: the kernel carries it; `dwarf`: pahole made it; `imported`: somebody gave it to us. */
export type Origin = 'embedded' | 'dwarf' | 'imported'

/** In descending order. */
export const VERIFIED = ['signed-index', 'package', 'index', 'none'] as const
export type Verified = (typeof VERIFIED)[number]

/** Where a BTF comes from, kept with every build and shown to whoever asks (DESIGN 2). */
export interface Provenance {
  /** The source's id, or `import`. */
  readonly source: string
  readonly origin: Origin
  readonly packageName: string | null
  readonly packageVersion: string | null
  /** URL or path that the bytes came from. */
  readonly url: string | null
  /** Digest of the package file; null where it was not read to its end (`--unverified`). */
  readonly packageSha256: Sha256 | null
  /**
   * By what the package was checked, the strongest: its digest by an index that is signed; a signature of its own, by its
   * distribution's key; its digest by an index that nobody signed; nothing.
   */
  readonly verified: Verified
  /** The running kernel's, as the image has it; that of the debug package's vmlinux where no image was read. */
  readonly buildId: string | null
  /** The id of the debug package's vmlinux, where that was read: Oracle's UEK has another one in it than it runs. */
  readonly debugBuildId: string | null
  readonly banner: string | null
  readonly paholeVersion: string | null
  readonly paholeFlags: readonly string[] | null
  /** pahole's warnings and whatever else a person should know of this one. */
  readonly warnings: readonly string[]
  /** ISO 8601, UTC. */
  readonly createdAt: string
  readonly hubVersion: string
}
