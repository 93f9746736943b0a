import type { DetailsPlace, PackageFile } from '../../core/kernel-package.ts'
import type { ListDeps } from '../deps.ts'
import type { Details } from '../details.ts'
import { memoryIndexCache } from '../memory-cache.ts'
import { type KernelNames, kernelNames } from '../names.ts'
import { loadKeyring } from '../openpgp/load.ts'
import type { SourceFile } from '../schema.ts'
import type { CrawlContext } from '../types.ts'
import { memoKeyOf, readIndex } from './index-file.ts'
import { fetchRelease } from './suite.ts'

type ArchivePlace = Extract<DetailsPlace, { kind: 'archive' }>

/**
 * What the signed indexes of an archive as it was at some time say of a file: a digest that is worth more than the SHA-1
 * by which a snapshot service keeps it. Asks suite after suite until one lists it; null where none does. Throws
 * `CrawlError` and what `http` throws.
 */
export async function archiveDetails(
  source: SourceFile,
  file: PackageFile,
  place: ArchivePlace,
  context: CrawlContext,
  deps: ListDeps,
): Promise<Details | null> {
  const { snapshots } = source
  const names = namesOf(source, place.arch)
  if (snapshots === undefined || names === null) return null
  const { origins, components, keyrings } = snapshots
  const keyring = await loadKeyring(keyrings, context, deps)
  const mirror = { base: place.base, keyFiles: [], inlineKeys: [], checkValidUntil: false, given: false }
  // Nobody will ask for what one suite was at one second again: its kernels are remembered, its Release is not.
  const once = { ...context, cache: memoryIndexCache() }
  for (const suite of place.suites) {
    const query = { suite, origins, frozen: true, keyring, now: deps.now() }
    const release = await fetchRelease(mirror, query, once)
    if (release === null) continue
    for (const component of components) {
      const memoKey = memoKeyOf([source.id, place.base, suite, component, place.arch], source.indexes)
      const found = await readIndex(release, { component, arch: place.arch, names, memoKey }, context)
      const entry = found?.entries.find(({ name, version }) => name === file.name && version === file.version)
      if (found === null || entry === undefined || entry.sha256 === null) continue
      const path = entry.path.split('/').map(encodeURIComponent).join('/')
      const { sizeBytes, sha256 } = entry
      return { urls: [`${place.base}/${path}`], sizeBytes, sha256, signed: found.signed }
    }
  }
  return null
}

/** Every index of such a source names packages by the same rules. */
function namesOf(source: SourceFile, arch: string): KernelNames | null {
  const index = source.indexes.find(({ format }) => format === 'launchpad' || format === 'snapshot')
  if (index?.format === 'launchpad' || index?.format === 'snapshot') return kernelNames(index.names, arch)
  return null
}
