import { type Btf, parseBtf } from '../btf/index.ts'
import { formatKernel } from '../core/kernel.ts'
import type { Finding } from '../minimize/index.ts'
import type { BlobStore, Build, Catalog } from '../store/index.ts'

/** What of a store the names are looked up in. */
export interface ModuleStore {
  readonly catalog: Pick<Catalog, 'modules' | 'buildsWithModules'>
  readonly blobs: Pick<BlobStore, 'read'>
}

/**
 * Findings about a missing type, with the modules that have it: those of the newest affected kernel whose modules the
 * hub knows. A program that needs such a type needs the kernel's modules in its BTF (`variant=merged`).
 * @param builds those that were checked, as the catalog lists them
 * @throws StoreError, BtfError where a blob is no BTF, what `signal` is aborted with
 */
export async function nameModules(
  store: ModuleStore,
  builds: readonly Build[],
  findings: readonly Finding[],
  signal: AbortSignal,
): Promise<Finding[]> {
  if (findings.every(({ reason }) => reason !== 'missing-type')) return [...findings]
  const withModules = await store.catalog.buildsWithModules()
  const newestFirst = builds.filter(({ id }) => withModules.has(id)).reverse()
  const subjects = new Map<Build, Set<string>>()
  const buildOf = new Map<Finding, Build>()
  for (const finding of findings) {
    if (finding.reason !== 'missing-type') continue
    const kernels = new Set(finding.kernels.map(pathOf))
    const build = newestFirst.find(({ kernel }) => kernels.has(formatKernel(kernel)))
    if (build === undefined) continue
    buildOf.set(finding, build)
    subjects.set(build, (subjects.get(build) ?? new Set()).add(finding.subject))
  }
  const owners = new Map<Build, Owners>()
  for (const [build, names] of subjects) owners.set(build, await findOwners(store, build, [...names], signal))
  return findings.map((finding) => {
    const build = buildOf.get(finding)
    const modules = build === undefined ? undefined : owners.get(build)?.get(finding.subject)
    return modules === undefined ? finding : { ...finding, modules }
  })
}

/** By a type's name, the modules that have such a type. */
type Owners = ReadonlyMap<string, readonly string[]>

/** Reads one module after the other, and keeps none: a kernel has thousands. */
async function findOwners(
  { catalog, blobs }: ModuleStore,
  build: Build,
  typeNames: readonly string[],
  signal: AbortSignal,
): Promise<Owners> {
  const owners = new Map<string, string[]>()
  const base = parseBtf(await blobs.read(build.btf.digest))
  for (const { name, btf } of (await catalog.modules(build.id))?.modules ?? []) {
    signal.throwIfAborted()
    const module = parseBtf(await blobs.read(btf.digest), { base })
    for (const typeName of typeNames.filter((wanted) => hasOwn(module, wanted))) {
      const known = owners.get(typeName)
      if (known === undefined) owners.set(typeName, [name])
      else known.push(name)
    }
  }
  return owners
}

function hasOwn(module: Btf, typeName: string): boolean {
  return module.idsByEssentialName(typeName).some((id) => id >= module.firstId)
}

function pathOf({ distro, version, arch, release }: Finding['kernels'][number]): string {
  return [distro, version, arch, release].join('/')
}
