import type { AltFiles } from './alt-files.ts'
import type { AltLink } from './alt-link.ts'
import type { PayloadCheck } from './payload-check.ts'
import type { KernelFacts } from './scan.ts'
import type { TempSpace } from './temp-space.ts'
import { ExtractError, type ExtractOptions, type KernelIds, type Expected } from './types.ts'

/**
 * What a file gave: BTF that is ready, or a vmlinux in a temporary file, whose DWARF is to be encoded, and the file
 * that it goes on in.
 */
export type Found = Facts &
  (
    | { readonly kind: 'btf'; readonly btf: Uint8Array }
    | { readonly kind: 'vmlinux'; readonly path: string; readonly altLink: AltLink | null }
  )

type Facts = Pick<KernelFacts, 'buildId' | 'banner'> & { readonly warnings: readonly string[] }

/** What is looked for, and what it takes. */
export interface Job extends Pick<
  ExtractOptions,
  'release' | 'forceDwarf' | 'jobs' | 'signal' | 'judgeHead'
> {
  readonly expected: Expected | null
  /** Where a vmlinux can be written; nothing is there yet. */
  readonly tempPath: string
  readonly tempSpace: TempSpace
  /** Takes what a package has of files that DWARF goes on in. */
  readonly alts: AltFiles
  /** Called when a kernel begins to be read. */
  readonly onKernel: () => void
  /** Called with what a kernel says of itself that turned out to have no BTF. */
  readonly onIds: (ids: KernelIds) => void
  /** Called with what is to see, after the search, all of the input that is still unread. */
  readonly onPayload: (check: PayloadCheck) => void
}

/** What is known of a file from around it. */
export interface Surroundings {
  /** True for the input itself: what is left of the file is what is left of the input. */
  readonly isInput: boolean
  readonly sizeBytes: number | null
  readonly inPackage: boolean
  /** Name of the package that it is in, where it was read. */
  readonly packageName: string | null
  /** Unwrapped from an image: stripped, so that there is no DWARF, and section headers may point anywhere. */
  readonly inImage: boolean
  readonly depth: number
}

/**
 * What a scan found, as the answer of a search. Throws ExtractError `NOT_FOUND` where the kernel says that it is
 * another one, `INVALID` where it has BTF that does not hold.
 */
export function foundIn(name: string, facts: KernelFacts, job: Pick<Job, 'onIds'>): Found | null {
  const { btf, banner, buildId, refused, stranger, warnings } = facts
  if (stranger !== null) throw new ExtractError('NOT_FOUND', `${name}: is another kernel: ${stranger}`)
  if (btf !== null) return { kind: 'btf', btf, banner, buildId, warnings }
  if (refused.length > 0) throw new ExtractError('INVALID', `${name}: ${refused.join('; ')}`)
  job.onIds({ buildId, banner })
  return null
}
