import { parseBtf } from '../../btf/index.ts'
import { formatKernel } from '../../core/kernel.ts'
import type { Finding } from '../../minimize/index.ts'
import type { Build, Store } from '../../store/index.ts'

/**
 * Findings about a missing type, with the modules that have it: those of the newest affected kernel whose modules the
 * hub knows. A program that needs such a type needs the kernel's modules in its BTF (`--variant merged`). Throws
 * StoreError.
 */
export async function nameModules(
  store: Pick<Store, 'catalog' | 'blobs'>,
  findings: readonly Finding[],
): Promise<Finding[]> {
  if (findings.every(({ reason }) => reason !== 'missing-type')) return [...findings]
  const withModules = new Set(await store.catalog.buildsWithModules())
  const builds = (await store.catalog.builds()).filter(({ id }) => withModules.has(id)).reverse()
  const known = new Map<number, ModuleTypes>()
  const named: Finding[] = []
  for (const finding of findings) {
    const kernels = new Set(
      finding.kernels.map(({ distro, version, arch, release }) => [distro, version, arch, release].join('/')),
    )
    const build =
      finding.reason === 'missing-type'
        ? builds.find(({ kernel }) => kernels.has(formatKernel(kernel)))
        : undefined
    if (build === undefined) {
      named.push(finding)
      continue
    }
    const find = known.get(build.id) ?? (await readModules(store, build))
    known.set(build.id, find)
    const modules = find(finding.subject)
    named.push(modules.length === 0 ? finding : { ...finding, modules })
  }
  return named
}

/** Names of the modules that have a type of that name. */
type ModuleTypes = (typeName: string) => readonly string[]

async function readModules(store: Pick<Store, 'catalog' | 'blobs'>, build: Build): Promise<ModuleTypes> {
  const base = parseBtf(await store.blobs.read(build.btf.digest))
  const modules: { name: string; ids: (typeName: string) => readonly number[] }[] = []
  for (const { name, btf } of (await store.catalog.modules(build.id))?.modules ?? []) {
    const split = parseBtf(await store.blobs.read(btf.digest), { base })
    modules.push({ name, ids: (typeName) => split.idsByEssentialName(typeName) })
  }
  // The base lacks the type, or it would not be missing: whatever has it is the module's own.
  return (typeName) => modules.filter(({ ids }) => ids(typeName).length > 0).map(({ name }) => name)
}
