import { type Btf, parseBtf } from '../../btf/index.ts'
import type { CheckedKernel } from '../../minimize/index.ts'
import { groupsOfBuilds } from '../../registry/index.ts'
import type { Store } from '../../store/index.ts'
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
  return groupsOfBuilds(await store.catalog.builds()).map(({ kernels, btf }) => ({
    kernels,
    load: async () => parseBtf(await store.blobs.read(btf)),
  }))
}
