import PQueue from 'p-queue'
import type { Sha256 } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { type BundleItem, type BundleLayout, MinimizeError } from '../minimize/index.ts'
import type { Build } from '../store/types.ts'
import { type Content, memoryContent } from './content.ts'
import { RegistryError } from './errors.ts'
import type { JobContext } from './long-jobs.ts'
import { packBundle } from './pack-bundle.ts'

/** A bundle that can be sent. */
export interface Bundle extends Content {
  /** `tar.gz`. */
  readonly ending: string
  /** Names that could not be in it. */
  readonly leftOut: number
  /** Different BTFs to which the tool does not fit. */
  readonly unfit: number
}

/** Makes min BTF of a full one. Throws RegistryError `TOOL_UNFIT` where there is none. */
export type CutOne = (btf: Sha256) => Promise<Content>

/**
 * All min BTF for these builds as one bundle. Where `skipUnfit` is false, one kernel without ends it. Throws
 * RegistryError `TOO_LARGE`, `NOT_FOUND` where nothing is in it, and what `cut` throws.
 */
export async function makeBundle(
  layout: BundleLayout,
  builds: readonly Build[],
  cut: CutOne,
  options: { readonly concurrency: number; readonly skipUnfit: boolean },
  { signal, progress }: JobContext,
): Promise<Bundle> {
  const digests = [...new Set(builds.map((build) => build.btf.digest))]
  const contents = new Map<Sha256, Uint8Array>()
  const byBtf = new Map<Sha256, Uint8Array>()
  let done = 0
  let unfit = 0
  const make = async (btf: Sha256): Promise<void> => {
    signal.throwIfAborted()
    try {
      const min = await cut(btf)
      const bytes = contents.get(min.digest) ?? (await min.read())
      contents.set(min.digest, bytes)
      byBtf.set(btf, bytes)
    } catch (err) {
      if (!options.skipUnfit || !(err instanceof RegistryError) || err.code !== 'TOOL_UNFIT') throw err
      unfit++
    }
    progress(++done, digests.length)
  }
  const queue = new PQueue({ concurrency: options.concurrency })
  try {
    await Promise.all(digests.map((btf) => queue.add(() => make(btf))))
  } finally {
    queue.clear()
  }
  const items = builds.flatMap(({ kernel, btf }): BundleItem[] => {
    const bytes = byBtf.get(btf.digest)
    return bytes === undefined ? [] : [{ kernel, bytes }]
  })
  if (items.length === 0) throw new RegistryError('NOT_FOUND', 'no kernels for a bundle')
  return { ...(await packed(layout, items, signal)), unfit }
}

async function packed(
  layout: BundleLayout,
  items: readonly BundleItem[],
  signal: AbortSignal,
): Promise<Omit<Bundle, 'unfit'>> {
  const total = items.reduce((sum, { bytes }) => sum + bytes.byteLength, 0)
  if (layout !== 'compact' && total > limits.request.maxUnpackedBundleBytes) throw tooLarge(total)
  try {
    const { bytes, ending, leftOut } = await packBundle(layout, items, 'tar.gz', signal)
    if (bytes.byteLength > limits.request.maxBundleBytes) throw tooLarge(bytes.byteLength)
    return { ...memoryContent(bytes), ending, leftOut: leftOut.length }
  } catch (err) {
    if (!(err instanceof MinimizeError)) throw err
    throw new RegistryError('BAD_REQUEST', `layout ${layout}: ${err.message}`, { cause: err })
  }
}

function tooLarge(bytes: number): RegistryError {
  return new RegistryError(
    'TOO_LARGE',
    `a bundle of ${bytes} bytes: say distro, version or arch, or take layout=compact`,
  )
}
