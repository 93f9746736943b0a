import { type Btf, parseBtf } from '../../btf/index.ts'
import type { CheckedKernel } from '../../minimize/index.ts'
import type { Build, Store } from '../../store/index.ts'
import { readBtf } from '../input.ts'
import { baseRelease, findKernelFiles } from '../kernel-files.ts'
import type { Invocation } from '../main.ts'

/** Kernels whose types are interchangeable, so that one check serves them all. */
export interface KernelGroup {
  readonly kernels: readonly CheckedKernel[]
  load(): Promise<Btf>
}

/** Each file or each file of a tree by itself: whose types are equal is not known before they are read. */
export async function groupsOfFiles(
  paths: readonly string[],
  invocation: Invocation,
): Promise<KernelGroup[]> {
  const files = await findKernelFiles(paths)
  return files.map(({ path, kernel }) => {
    const names = kernel ?? { distro: '', version: '', arch: '', release: baseRelease(path) }
    return { kernels: [{ ...names, hasOwnBtf: null }], load: () => readBtf(path, invocation) }
  })
}

/** All kernels of a hub, grouped by the layout of their types. */
export async function groupsOfHub(store: Store): Promise<KernelGroup[]> {
  const byLayout = new Map<string, Build[]>()
  for (const build of await store.catalog.builds()) {
    const builds = byLayout.get(build.layoutDigest)
    if (builds === undefined) byLayout.set(build.layoutDigest, [build])
    else builds.push(build)
  }
  return [...byLayout.values()].map((builds) => ({
    kernels: [...new Map(builds.map((build) => [JSON.stringify(build.kernel), asChecked(build)])).values()],
    load: async () => parseBtf(await store.blobs.read((builds[0] as Build).btf.digest)),
  }))
}

/** Only a kernel without BTF has its types taken out of DWARF; of imported ones nobody knows. */
function asChecked({ kernel, provenance: { origin } }: Build): CheckedKernel {
  return { ...kernel, hasOwnBtf: origin === 'embedded' ? true : origin === 'dwarf' ? false : null }
}
