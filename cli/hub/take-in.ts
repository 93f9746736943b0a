import { layoutDigest, parseBtf } from '../../btf/index.ts'
import type { Sha256 } from '../../core/digest.ts'
import { formatKernel, type Kernel } from '../../core/kernel.ts'
import type { Provenance } from '../../core/provenance.ts'
import { hubVersion } from '../../core/version.ts'
import type { Build, Store } from '../../store/index.ts'

/** A BTF that somebody else made, validated already, and what is said of it. */
export interface Given {
  readonly kernel: Kernel
  readonly btf: Uint8Array
  /** Also the beginning of its key: a kernel's BTF is taken in once from each. */
  readonly source: 'import' | 'upstream'
  /** Where it came from. */
  readonly url: string
  /** Digest of the file that it came in. */
  readonly fileSha256: Sha256 | null
  readonly facts?: Partial<
    Pick<
      Provenance,
      | 'packageName'
      | 'packageVersion'
      | 'buildId'
      | 'debugBuildId'
      | 'banner'
      | 'paholeVersion'
      | 'paholeFlags'
    >
  >
  readonly flavour?: string
  readonly series?: string
  readonly warnings?: readonly string[]
}

/** Keeps a BTF that was not extracted here. Throws StoreError. */
export async function takeIn(
  store: Pick<Store, 'catalog' | 'blobs'>,
  given: Given,
  now: Date,
): Promise<{ readonly build: Build; readonly isNew: boolean }> {
  const { kernel, facts = {} } = given
  const btf = await store.blobs.put(given.btf)
  const key = `${given.source}/${formatKernel(kernel)}/${btf.digest}`
  const known = await store.catalog.buildByKey(key)
  if (known !== null) return { build: known, isNew: false }
  const build = await store.catalog.addBuild({
    kernel,
    flavour: given.flavour ?? 'unknown',
    series: given.series ?? `${kernel.distro}/${kernel.version}`,
    key,
    btf,
    layoutDigest: layoutDigest(parseBtf(given.btf)),
    provenance: {
      source: given.source,
      origin: 'imported',
      packageName: facts.packageName ?? null,
      packageVersion: facts.packageVersion ?? null,
      url: given.url,
      packageSha256: given.fileSha256,
      verified: 'none',
      buildId: facts.buildId ?? null,
      debugBuildId: facts.debugBuildId ?? null,
      banner: facts.banner ?? null,
      paholeVersion: facts.paholeVersion ?? null,
      paholeFlags: facts.paholeFlags ?? null,
      warnings: given.warnings ?? [],
      createdAt: now.toISOString(),
      hubVersion,
    },
  })
  return { build, isNew: true }
}
