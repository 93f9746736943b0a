import { HubError } from '../core/errors.ts'
import type { Sha256 } from '../core/digest.ts'
import type { Arch } from '../core/kernel.ts'
import type { Log } from '../core/log.ts'
import type { HeadJudge } from '../core/package-proof.ts'
import type { TempSpace } from './temp-space.ts'

/**
 * `NO_BTF`: whole and well, but without BTF (and, where asked for, without DWARF): a fact, not a fault.
 * `NOT_FOUND`: the package has no kernel of that release. `MALFORMED`: bytes that contradict their format.
 * `UNSUPPORTED`: a format we know of and do not read, or a file whose other half is not here. `LIMIT`: more than `core/limits` allows.
 * `TOOL`: an external program is missing or failed. `NO_SPACE`: this machine's disk has no room for what has to be
 * unpacked: no fault of the package. `INVALID`: the BTF that came out is not a kernel's.
 */
export type ExtractErrorCode =
  'NO_BTF' | 'NOT_FOUND' | 'MALFORMED' | 'UNSUPPORTED' | 'LIMIT' | 'TOOL' | 'NO_SPACE' | 'INVALID'
export class ExtractError extends HubError<ExtractErrorCode> {}

/** What a kernel says of itself. */
export interface KernelIds {
  /** GNU build-id in hex; null where the file has none. */
  readonly buildId: string | null
  /** The text of `/proc/version`, without the newline; null where the file has none. */
  readonly banner: string | null
}

/** `NO_BTF`, with what was seen nevertheless. */
export class NoBtfError extends ExtractError {
  readonly kernel: KernelIds
  /** Of the whole input; null where it was not read to its end. */
  readonly sha256: Sha256 | null
  readonly bytesRead: number

  constructor(
    message: string,
    seen: { readonly kernel: KernelIds; readonly sha256: Sha256 | null; readonly bytesRead: number },
  ) {
    super('NO_BTF', message)
    this.kernel = seen.kernel
    this.sha256 = seen.sha256
    this.bytesRead = seen.bytesRead
  }
}

/** A file to extract from: a package, a kernel image, an ELF or raw BTF; its kind is told by its bytes. */
export interface ExtractInput {
  /** For messages: a path or URL. */
  readonly name: string
  readonly bytes: AsyncIterable<Uint8Array>
}

/** How many types a BTF must have to be believed. */
export interface TypeRange {
  readonly least: number
  readonly most: number
  /** Whose types these are, for the message: `other builds of debian/12 cloud-amd64`. */
  readonly of: string
}

/** What is known of a kernel before its BTF is seen; null for what nobody knows. */
export interface Expected {
  readonly arch: Arch | null
  /** How many types its neighbours have. */
  readonly types: TypeRange | null
}

export interface ExtractOptions {
  /** `uname -r` of the wanted kernel; null takes the only kernel in the package, and refuses where there are two. */
  readonly release: string | null
  /** True leaves embedded BTF alone and encodes the DWARF with pahole. */
  readonly forceDwarf: boolean
  /** False ends the reading as soon as the BTF is whole; the digest is then unknown. */
  readonly readToEnd: boolean
  /** True reads on also where there is no BTF, so that what the kernel says of itself comes with a digest. */
  readonly readToEndWithoutBtf?: boolean
  /**
   * Where the input is on this machine's disk: what its DWARF goes on in is then looked for beside it and in
   * `/usr/lib/debug` too, as debuggers do. Null, and without, only what comes with the input counts.
   */
  readonly localPath?: string | null
  /** Where vmlinux goes while pahole reads it. */
  readonly tempDir: string
  /** The room there, shared with all jobs that use the same folder; without, nobody else's files are reckoned with. */
  readonly tempSpace?: TempSpace
  readonly expected?: Expected | null
  /** Asked of an RPM package that is the input itself; what it throws ends the extraction. */
  readonly judgeHead?: HeadJudge
  /** Cores that pahole may use. */
  readonly jobs: number
  readonly signal: AbortSignal
  readonly log: Log
  /** Told when a new phase begins (`reading`, `unwrapping`, `encoding`, `hashing`) and how many bytes came in. */
  readonly onProgress?: (phase: string, bytesRead: number) => void
}

export interface Extracted extends KernelIds {
  /** Raw BTF, parsed whole and checked. */
  readonly btf: Uint8Array
  readonly origin: 'embedded' | 'dwarf'
  readonly paholeVersion: string | null
  readonly paholeFlags: readonly string[] | null
  readonly warnings: readonly string[]
  /** Of the whole input; null where it was not read to its end. */
  readonly sha256: Sha256 | null
  /** Bytes of the input that were read. */
  readonly bytesRead: number
}
