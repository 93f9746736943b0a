import { type KernelPackage, packageKey } from '../../core/kernel-package.ts'
import type { IndexReport } from '../../crawler/index.ts'
import { type Catalog, recordListings, type RecordedListing } from '../../store/index.ts'

/**
 * Records what was listed. Where every index of a part was read it replaces what was known of that; else it is added: a
 * failed listing says nothing about the kernels in it, so what was known of them stays.
 */
export async function rememberListing(
  listed: readonly KernelPackage[],
  indexes: readonly IndexReport[],
  deps: { readonly catalog: Pick<Catalog, 'indexMemo' | 'putIndexMemo'>; now(): Date },
): Promise<void> {
  const at = deps.now().toISOString()
  const whole = wholeParts(indexes)
  const parts = new Map<string, KernelPackage[]>()
  for (const pkg of listed) {
    const { distro, version, arch } = pkg.kernel
    const part = [pkg.source, distro, version, arch].join('/')
    const others = parts.get(part)
    if (others === undefined) parts.set(part, [pkg])
    else others.push(pkg)
  }
  const listings = [...parts].map(([part, packages]): RecordedListing & { readonly whole: boolean } => {
    const [source = '', distro = '', version = '', arch = ''] = part.split('/')
    return {
      source,
      distro,
      version,
      arch,
      at,
      builds: packages.map((pkg) => [packageKey(pkg), pkg.flavour]),
      withoutEbpf: new Set(packages.filter(({ hasEbpf }) => hasEbpf === false).map(packageKey)),
      whole: whole.has(`${distro}/${version}/${arch}`),
    }
  })
  await recordListings(listings, deps.catalog)
}

/** `distro/version/arch` whose every index was read or is known not to be there. */
export function wholeParts(indexes: readonly IndexReport[]): ReadonlySet<string> {
  const partOf = ({ index, version, arch }: IndexReport): string =>
    [index.split('/')[0] ?? '', version, arch].join('/')
  const open = ({ outcome, partial }: IndexReport): boolean => outcome === 'failed' || partial === true
  const inPart = new Set(indexes.filter(open).map(partOf))
  return new Set(indexes.map(partOf).filter((part) => !inPart.has(part)))
}
