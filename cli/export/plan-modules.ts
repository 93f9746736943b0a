import { sha256Of, type Sha256 } from '../../core/digest.ts'
import type { Kernel } from '../../core/kernel.ts'
import type { KernelEntry, KernelIndex } from '../../core/resolve/kernel-index.ts'
import { checkTreePath } from '../../core/signed-index/index.ts'
import { blobPath, moduleList, toKernelDetail } from '../../registry/index.ts'
import { type Build, type BuildModules, makeForm, type Store, StoreError } from '../../store/index.ts'
import type { TreeFile, TreeForm } from './types.ts'

/** What of a tree is about modules. */
export interface ModulesPlan {
  readonly files: readonly TreeFile[]
  /** By the id of a build, the digest of the document that lists its modules. */
  readonly lists: ReadonlyMap<number, Sha256>
}

/**
 * Plans what a tree has of modules: their split BTF and the merged one as blobs, a list of them for the index, and
 * `v1/kernels/DISTRO/VERSION/ARCH/RELEASE`, which tells people where each is. A list has some 100 bytes for each of some
 * thousand modules, so it is made once for its digest and again to be written, instead of being held.
 */
export async function planModules(
  index: KernelIndex<Build>,
  { catalog, derived }: Pick<Store, 'catalog' | 'derived'>,
  options: {
    readonly modules: boolean
    readonly forms: readonly TreeForm[]
    readonly signal: AbortSignal
  },
): Promise<ModulesPlan> {
  const files: TreeFile[] = []
  const lists = new Map<number, Sha256>()
  const having = options.modules ? await catalog.buildsWithModules() : new Set<number>()
  const known = async (id: number): Promise<BuildModules | null> =>
    having.has(id) ? catalog.modules(id) : null
  const still = async (id: number): Promise<BuildModules> => {
    const modules = await known(id)
    if (modules === null) throw new StoreError('NOT_FOUND', `the modules of build ${id} are gone`)
    return modules
  }
  const addMade = async (path: string, make: () => Promise<Uint8Array>): Promise<void> => {
    files.push({ path: checkTreePath(path), digest: sha256Of(await make()), bytes: make })
  }
  for (const entry of index.entries) {
    for (const { id } of entry.builds) {
      options.signal.throwIfAborted()
      const modules = await known(id)
      if (modules === null) continue
      for (const { digest } of [modules.merged, ...modules.modules.map(({ btf }) => btf)]) {
        files.push({ path: blobPath(digest).slice(1), digest, bytes: null })
      }
      if (options.forms.includes('gz')) {
        const { digest } = await derived.get(modules.merged.digest, 'gz')
        files.push({ path: `${blobPath(modules.merged.digest).slice(1)}.gz`, digest, bytes: null })
      }
      const make = async (): Promise<Uint8Array> => moduleList(await still(id))
      const digest = sha256Of(moduleList(modules))
      lists.set(id, digest)
      const path = blobPath(digest).slice(1)
      files.push({ path, digest, bytes: make })
      await addMade(`${path}.gz`, async () => makeForm('gz', await make()))
    }
    if (entry.builds.some(({ id }) => having.has(id))) {
      await addMade(kernelPath(entry.kernel), () => detail(entry, known))
    }
  }
  return { files, lists }
}

function kernelPath({ distro, version, arch, release }: Kernel): string {
  return `v1/kernels/${distro}/${version}/${arch}/${release}`
}

async function detail(
  entry: KernelEntry<Build>,
  known: (id: number) => Promise<BuildModules | null>,
): Promise<Uint8Array> {
  const modules = new Map<number, BuildModules>()
  for (const { id } of entry.builds) {
    const found = await known(id)
    if (found !== null) modules.set(id, found)
  }
  return Buffer.from(JSON.stringify(toKernelDetail(entry, modules)))
}
