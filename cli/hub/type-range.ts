import { BtfError, parseBtf } from '../../btf/index.ts'
import type { Sha256 } from '../../core/digest.ts'
import type { KernelPackage } from '../../core/kernel-package.ts'
import type { TypeRange } from '../../extractor/index.ts'
import { type BlobStore, type Catalog, StoreError } from '../../store/index.ts'

/** Newest builds of the same series and flavour that are looked at. */
const NEIGHBOURS = 3
/**
 * By how much a kernel may have fewer or more types than its neighbours. Two builds of one series that follow each
 * other differ by a few in a hundred, the whole of 4.19 by a fifth, and versions of pahole by a tenth.
 */
const SPARE = 1.6

/**
 * How many types a new build may have by those that the hub has of its series, flavour and architecture; null where it
 * has none. Half a kernel, of which every part is right, is only known by what others have.
 */
export async function typeRange(
  pkg: KernelPackage,
  deps: { readonly catalog: Catalog; readonly blobs: BlobStore },
): Promise<TypeRange | null> {
  const { distro, version, arch } = pkg.kernel
  const builds = await deps.catalog.builds({ distro, version, arch })
  const neighbours = builds.filter(
    (build) =>
      build.series === pkg.series && build.flavour === pkg.flavour && build.provenance.source === pkg.source,
  )
  const known = await Promise.all(
    neighbours.slice(-NEIGHBOURS).map(({ btf }) => typeCount(btf.digest, deps.blobs)),
  )
  const counts = known.filter((count) => count !== null)
  if (counts.length === 0) return null
  return {
    least: Math.floor(Math.min(...counts) / SPARE),
    most: Math.ceil(Math.max(...counts) * SPARE),
    of: `other builds of ${pkg.series} ${pkg.flavour}`,
  }
}

/** Null where the blob was lost or damaged since: that is for `verify` to find. */
async function typeCount(digest: Sha256, blobs: BlobStore): Promise<number | null> {
  try {
    return parseBtf(await blobs.read(digest)).idCount - 1
  } catch (err) {
    if (err instanceof BtfError || err instanceof StoreError) return null
    throw err
  }
}
