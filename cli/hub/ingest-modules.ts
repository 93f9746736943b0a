import { createReadStream, createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import { layoutDigest, parseBtf } from '../../btf/index.ts'
import type { KernelPackage, PackageFile } from '../../core/kernel-package.ts'
import { type ExtractedModules, extractModules, mergeModules, type ModuleBtf } from '../../extractor/index.ts'
import type { Build, BuildModule } from '../../store/index.ts'
import type { IngestDeps, IngestOptions } from './ingest.ts'
import { IngestError, type PackageReader } from './read-package.ts'

/** The package that gave the kernel's BTF, on disk: it is read once more, for modules. */
export interface Spooled {
  readonly path: string
  readonly url: string
}

/** Gives chunks on, and writes them to a file that is whole when all were read; `onWrite` is told how much. */
export async function* spool(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  onWrite: (bytes: number) => void = () => undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const file = createWriteStream(path, { mode: 0o600 })
  const failed = once(file, 'error').then(([err]) => {
    throw err
  })
  failed.catch(() => undefined)
  try {
    for await (const chunk of chunks) {
      if (!file.write(chunk)) await Promise.race([once(file, 'drain'), failed])
      onWrite(chunk.byteLength)
      yield chunk
    }
    file.end()
    await Promise.race([finished(file), failed])
  } finally {
    file.destroy()
  }
}

/** Packages that modules of a kernel are looked for in. */
export interface ModulePackages {
  /** The package that gave the kernel's BTF, or its twins, in the order to try; then `apart`, all of them. */
  readonly kernel: readonly PackageFile[]
  readonly apart: readonly PackageFile[]
}

/**
 * Where modules are: in the debug package where the kernel's BTF was made of DWARF, for only modules that are encoded on
 * that very BTF go with it; else in the image's package and in those that have modules alone.
 */
export function modulePackages(
  pkg: Pick<KernelPackage, 'images' | 'debugs' | 'modules'>,
  isDebug: boolean,
): ModulePackages {
  return isDebug ? { kernel: pkg.debugs, apart: [] } : { kernel: pkg.images, apart: pkg.modules ?? [] }
}

/**
 * Takes in the modules of a build, all or none: a merged BTF that lacks some would look like one of a kernel that has not
 * got them. `spooled` is the package that gave the kernel's BTF, where it is on disk. Throws as `ingest` does.
 */
export async function ingestModules(
  pkg: KernelPackage,
  build: Build,
  kernel: { readonly btf: Uint8Array; readonly isDebug: boolean; readonly spooled: Spooled | null },
  reader: PackageReader,
  options: IngestOptions,
  deps: IngestDeps,
): Promise<number> {
  const found = await readModules(pkg, kernel, reader, options, deps)
  for (const line of found.refused) deps.log.warn({ kernel: pkg.kernel, reason: line }, 'no BTF of a module')
  const merged = mergeModules(kernel.btf, found.modules)
  const modules: BuildModule[] = []
  for (const { name, btf, origin } of found.modules) {
    modules.push({ name, origin, btf: await deps.blobs.put(btf) })
  }
  await deps.catalog.putModules(build.id, {
    modules,
    merged: await deps.blobs.put(merged),
    mergedLayout: layoutDigest(parseBtf(merged)),
  })
  return modules.length
}

type Modules = Pick<ExtractedModules, 'modules' | 'refused'>

async function readModules(
  pkg: KernelPackage,
  { btf, isDebug, spooled }: Parameters<typeof ingestModules>[2],
  reader: PackageReader,
  options: IngestOptions,
  deps: IngestDeps,
): Promise<Modules> {
  const { tempDir } = deps
  const { jobs, signal } = options
  const how = { base: btf, release: pkg.kernel.release, tempDir, jobs, signal }
  const readOne = async (files: readonly PackageFile[]): Promise<ExtractedModules> => {
    const { result } = await reader.readAny(files, (input, watch) =>
      extractModules(input, { ...how, ...watch }),
    )
    return result
  }
  const packages = modulePackages(pkg, isDebug)
  const parts: ExtractedModules[] = []
  if (spooled !== null) {
    parts.push(await extractModules({ name: spooled.url, bytes: createReadStream(spooled.path) }, how))
  } else if (packages.kernel.length > 0) parts.push(await readOne(packages.kernel))
  for (const file of packages.apart) parts.push(await readOne([file]))
  const isWithoutBtf = parts.every(({ modules }) => modules.length === 0)
  if (isWithoutBtf && !isDebug && pkg.debugs.length > 0) parts.push(await readOne(pkg.debugs))
  if (parts.every(({ modules }) => modules.length === 0)) {
    const untyped = parts.reduce((sum, part) => sum + part.untyped, 0)
    const what = untyped === 0 ? 'no modules' : `${untyped} modules, none with BTF or DWARF,`
    throw new IngestError('NO_BTF', `${pkg.packageName} ${pkg.packageVersion}: ${what} in what is offered`)
  }
  return combine(parts)
}

/** Modules of several packages by name; where two that differ share one, neither. */
function combine(parts: readonly ExtractedModules[]): Modules {
  const byName = new Map<string, ModuleBtf>()
  const twice = new Set<string>()
  for (const module of parts.flatMap(({ modules }) => modules)) {
    const twin = byName.get(module.name)
    if (twin !== undefined && !Buffer.from(twin.btf).equals(module.btf)) twice.add(module.name)
    byName.set(module.name, twin ?? module)
  }
  return {
    modules: [...byName.values()]
      .filter(({ name }) => !twice.has(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    refused: [
      ...parts.flatMap(({ refused }) => refused),
      ...[...twice].map((name) => `${name}: two packages have a module of that name`),
    ],
  }
}
