import { layoutDigest, parseBtf } from '../../btf/index.ts'
import type { Http } from '../../core/http.ts'
import { type KernelPackage, type PackageFile, packageKey } from '../../core/kernel-package.ts'
import type { Log } from '../../core/log.ts'
import { withTempFile } from '../../core/temp-file.ts'
import { hubVersion } from '../../core/version.ts'
import { extract, type Extracted, type KernelIds, NoBtfError, type TempSpace } from '../../extractor/index.ts'
import type { BlobStore, Build, Catalog } from '../../store/index.ts'
import { typeRange } from './type-range.ts'
import { ingestModules, spool } from './ingest-modules.ts'
import { createPackageReader, IngestError, type Meter, type PackageReader } from './read-package.ts'

export interface IngestDeps {
  readonly http: Http
  readonly catalog: Catalog
  readonly blobs: BlobStore
  readonly tempDir: string
  /** Room in that folder, one for all jobs. */
  readonly tempSpace: TempSpace
  readonly log: Log
  readonly now: () => Date
}

export interface IngestOptions {
  /** Encode DWARF even where the kernel carries BTF. */
  readonly forceDwarf: boolean
  /** Read packages to their end and compare their digest with the index before anything is published. */
  readonly verify: boolean
  /** Cores for one pahole. */
  readonly jobs: number
  /** Take in the modules too. */
  readonly modules?: boolean
  readonly signal: AbortSignal
  readonly onProgress: (phase: string, bytesRead: number) => void
  /** What is told of packages that are about to be read, where their index said too little. */
  readonly details?: (files: readonly PackageFile[]) => Promise<readonly PackageFile[]>
  /** Told when an image turned out to carry no BTF: others of its series and flavour will not either. */
  readonly onImageWithoutBtf?: () => void
}

/** One package's way into the store: extracted, checked against its index, kept, recorded. */
export interface Ingested {
  readonly build: Build
  /** Bytes of packages that were read, those of attempts that failed included. */
  readonly bytesRead: number
}

/**
 * Takes the BTF out of the smallest package that has it (DESIGN 4.2) and records the build. Throws
 * {@link IngestError}, `ExtractError`, `HttpError` or `StoreError`; then nothing is in the catalog.
 */
export async function ingest(
  pkg: KernelPackage,
  options: IngestOptions,
  deps: IngestDeps,
): Promise<Ingested> {
  const meter: Meter = { bytes: 0 }
  const reader = createPackageReader(deps, options, meter)
  const build =
    options.modules === true
      ? await withTempFile(deps.tempDir, async (path) => {
          const found = await extractFirst(pkg, options, deps, reader, path)
          const added = await record(pkg, found, options, deps)
          const { url, isDebug, extracted } = found
          await ingestModules(pkg, added, { path, url, isDebug, btf: extracted.btf }, reader, options, deps)
          return added
        })
      : await record(pkg, await extractFirst(pkg, options, deps, reader, null), options, deps)
  return { build, bytesRead: meter.bytes }
}

async function record(
  pkg: KernelPackage,
  found: FoundBtf,
  options: IngestOptions,
  deps: IngestDeps,
): Promise<Build> {
  const { file, url, extracted } = found
  const btf = await deps.blobs.put(extracted.btf)
  return deps.catalog.addBuild({
    kernel: pkg.kernel,
    flavour: pkg.flavour,
    series: pkg.series,
    key: packageKey(pkg),
    btf,
    layoutDigest: layoutDigest(parseBtf(extracted.btf)),
    provenance: {
      source: pkg.source,
      origin: extracted.origin,
      packageName: file.name,
      packageVersion: file.version,
      url,
      packageSha256: extracted.sha256,
      verified: !options.verify || file.sha256 === null ? 'none' : file.signed ? 'signed-index' : 'index',
      ...identityOf(found),
      paholeVersion: extracted.paholeVersion,
      paholeFlags: extracted.paholeFlags,
      createdAt: deps.now().toISOString(),
      hubVersion,
    },
  })
}

interface FoundBtf {
  readonly file: PackageFile
  readonly url: string
  readonly extracted: Extracted
  /** True where it came from a debug package. */
  readonly isDebug: boolean
  /** What the image says of itself, where one was read besides. */
  readonly image: KernelIds | null
}

/** Which kernel it is: what the image says, as that is what runs, and what the debug package's vmlinux says. */
function identityOf({ extracted, isDebug, image }: FoundBtf): {
  readonly buildId: string | null
  readonly debugBuildId: string | null
  readonly banner: string | null
  readonly warnings: readonly string[]
} {
  const banner = image?.banner ?? extracted.banner
  const isOther = extracted.banner !== null && extracted.banner !== banner
  return {
    buildId: image?.buildId ?? extracted.buildId,
    debugBuildId: isDebug ? extracted.buildId : null,
    banner,
    warnings: [
      ...extracted.warnings,
      ...(isOther
        ? [`the debug package’s vmlinux has another banner than the image: ${extracted.banner}`]
        : []),
    ],
  }
}

/** Packages of one kind, and what they are read for. */
interface Reading {
  readonly files: readonly PackageFile[]
  readonly isDebug: boolean
  /** False where only the image's build-id is wanted. */
  readonly forBtf: boolean
}

/** Packages of one kind after another: images only where they may have BTF or something else that is wanted. */
export function worthReading(
  pkg: Pick<KernelPackage, 'images' | 'debugs' | 'imagesHaveBtf' | 'buildIdsDiffer'>,
  forceDwarf: boolean,
): readonly Reading[] {
  const imageHasBtf = !forceDwarf && !(pkg.imagesHaveBtf === false && pkg.debugs.length > 0)
  return [
    ...(imageHasBtf || pkg.buildIdsDiffer === true
      ? [{ files: pkg.images, isDebug: false, forBtf: imageHasBtf }]
      : []),
    { files: pkg.debugs, isDebug: true, forBtf: true },
  ].filter(({ files }) => files.length > 0)
}

/** Image first, DWARF where the image has no BTF; the package that had it is then at `spoolPath`, where one is given. */
async function extractFirst(
  pkg: KernelPackage,
  options: IngestOptions,
  deps: IngestDeps,
  reader: PackageReader,
  spoolPath: string | null,
): Promise<FoundBtf> {
  const expected = { arch: pkg.kernel.arch, types: await typeRange(pkg, deps) }
  let image: KernelIds | null = null
  for (const { files, isDebug, forBtf } of worthReading(pkg, options.forceDwarf)) {
    try {
      const told = options.details === undefined ? files : await options.details(files)
      const { file, url, result } = await reader.readAny(told, (input, onProgress) =>
        extract(spoolPath === null ? input : { ...input, bytes: spool(input.bytes, spoolPath) }, {
          release: pkg.kernel.release,
          forceDwarf: isDebug && options.forceDwarf,
          readToEnd: options.verify || spoolPath !== null,
          readToEndWithoutBtf: !isDebug,
          tempDir: deps.tempDir,
          tempSpace: deps.tempSpace,
          expected,
          jobs: options.jobs,
          signal: options.signal,
          log: deps.log,
          onProgress,
        }),
      )
      if (forBtf) return { file, url, extracted: result, isDebug, image }
      image = result
    } catch (err) {
      // The BTF is worth having without the id of an image that nobody has any more; banners still find it.
      if (!forBtf && err instanceof IngestError && err.code === 'GONE') continue
      if (!(err instanceof NoBtfError)) throw err
      deps.log.info({ kernel: pkg.kernel, package: files[0]?.name }, 'no BTF in this package')
      if (!isDebug) image = err.kernel
      if (!isDebug && forBtf) options.onImageWithoutBtf?.()
    }
  }
  throw new IngestError(
    'NO_BTF',
    options.forceDwarf && pkg.debugs.length === 0
      ? `${pkg.packageName} ${pkg.packageVersion}: no debug package is offered`
      : `${pkg.packageName} ${pkg.packageVersion}: no BTF in what is offered`,
  )
}
