import { createReadStream, createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import { layoutDigest, parseBtf } from '../../btf/index.ts'
import type { KernelPackage } from '../../core/kernel-package.ts'
import { type ExtractedModules, extractModules, mergeModules, type ModuleBtf } from '../../extractor/index.ts'
import type { Build, BuildModule } from '../../store/index.ts'
import type { IngestDeps, IngestOptions } from './ingest.ts'
import type { PackageReader } from './read-package.ts'

/** The package that gave the kernel's BTF, on disk: it is read once more, for modules. */
export interface Spooled {
  readonly path: string
  readonly url: string
  readonly isDebug: boolean
  /** The BTF that it gave. */
  readonly btf: Uint8Array
}

/** Gives chunks on, and writes them to a file that is whole when all were read. */
export async function* spool(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const file = createWriteStream(path, { mode: 0o600 })
  const failed = once(file, 'error').then(([err]) => {
    throw err
  })
  failed.catch(() => undefined)
  try {
    for await (const chunk of chunks) {
      if (!file.write(chunk)) await Promise.race([once(file, 'drain'), failed])
      yield chunk
    }
    file.end()
    await Promise.race([finished(file), failed])
  } finally {
    file.destroy()
  }
}

/**
 * Takes in the modules of a build: of the package that gave its BTF and of those with nothing but modules; where none
 * of an image's has BTF, of the debug package, from DWARF. Throws as `ingest` does; then none is recorded.
 */
export async function ingestModules(
  pkg: KernelPackage,
  build: Build,
  spooled: Spooled,
  reader: PackageReader,
  options: IngestOptions,
  deps: IngestDeps,
): Promise<void> {
  const found = await readModules(pkg, spooled, reader, options, deps)
  for (const line of found.refused) deps.log.warn({ kernel: pkg.kernel, reason: line }, 'no BTF of a module')
  const merged = mergeModules(spooled.btf, found.modules)
  const modules: BuildModule[] = []
  for (const { name, btf, origin } of found.modules) {
    modules.push({ name, origin, btf: await deps.blobs.put(btf) })
  }
  await deps.catalog.putModules(build.id, {
    modules,
    merged: await deps.blobs.put(merged),
    mergedLayout: layoutDigest(parseBtf(merged)),
  })
}

type Modules = Pick<ExtractedModules, 'modules' | 'refused'>

async function readModules(
  pkg: KernelPackage,
  { path, url, isDebug, btf }: Spooled,
  reader: PackageReader,
  options: IngestOptions,
  deps: IngestDeps,
): Promise<Modules> {
  const { tempDir } = deps
  const { jobs, signal } = options
  const how = { base: btf, release: pkg.kernel.release, tempDir, jobs, signal }
  const parts = [await extractModules({ name: url, bytes: createReadStream(path) }, how)]
  if (isDebug) return combine(parts)
  for (const file of pkg.modules ?? []) {
    const { result } = await reader.readAny([file], (input, onProgress) =>
      extractModules(input, { ...how, onProgress }),
    )
    parts.push(result)
  }
  const isWithoutBtf = parts.every(({ modules }) => modules.length === 0)
  if (isWithoutBtf && parts.some(({ untyped }) => untyped > 0) && pkg.debugs.length > 0) {
    const { result } = await reader.readAny(pkg.debugs, (input, onProgress) =>
      extractModules(input, { ...how, onProgress }),
    )
    parts.push(result)
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
