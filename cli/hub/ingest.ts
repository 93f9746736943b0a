import { layoutDigest, parseBtf } from '../../btf/index.ts'
import { isAbort } from '../../core/errors.ts'
import type { Http } from '../../core/http.ts'
import { type KernelPackage, type PackageFile, packageKey } from '../../core/kernel-package.ts'
import type { Log } from '../../core/log.ts'
import { withTempFile } from '../../core/temp-file.ts'
import type { Verified } from '../../core/provenance.ts'
import { hubVersion } from '../../core/version.ts'
import { extract, type Extracted, type KernelIds, NoBtfError, type TempSpace } from '../../extractor/index.ts'
import { type BlobStore, type Build, type Catalog, StoreError } from '../../store/index.ts'
import { typeRange } from './type-range.ts'
import { ingestModules, modulePackages, spool, type Spooled } from './ingest-modules.ts'
import {
  createPackageReader,
  IngestError,
  type Meter,
  type PackageReader,
  type ReadOptions,
} from './read-package.ts'

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

export interface IngestOptions extends ReadOptions {
  /** Encode DWARF even where the kernel carries BTF. */
  readonly forceDwarf: boolean
  /** Cores for one pahole. */
  readonly jobs: number
  /** Take in the modules too; of a build whose BTF is in the store, only those. */
  readonly modules?: boolean
  /** Told when an image turned out to carry no BTF: others of its series and flavour will not either. */
  readonly onImageWithoutBtf?: () => void
}

/** One package's way into the store: extracted, checked against its index, kept, recorded. */
export interface Ingested {
  readonly build: Build
  /** Bytes of packages that were read, those of attempts that failed included. */
  readonly bytesRead: number
  /** What became of the modules; null where none were asked for. */
  readonly modules: IngestedModules | null
}

/** The modules of a build: all are recorded, or none, for a reason. The kernel's own BTF is recorded in either case. */
export type IngestedModules =
  { readonly kind: 'added'; readonly count: number } | { readonly kind: 'failed'; readonly reason: unknown }

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
  const takeModules = (
    build: Build,
    btf: Uint8Array,
    isDebug: boolean,
    spooled: Spooled | null,
  ): Promise<IngestedModules> =>
    attempt(() => ingestModules(pkg, build, { btf, isDebug, spooled }, reader, options, deps))
  if (options.modules !== true) {
    const build = await record(pkg, await extractFirst(pkg, options, deps, reader, null), options, deps)
    return { build, bytesRead: meter.bytes, modules: null }
  }
  const known = await deps.catalog.buildByKey(packageKey(pkg))
  if (known !== null && (await deps.blobs.size(known.btf.digest)) !== null) {
    const btf = await deps.blobs.read(known.btf.digest)
    const modules = await takeModules(known, btf, isOfDebug(pkg, known), null)
    return { build: known, bytesRead: meter.bytes, modules }
  }
  return await withTempFile(deps.tempDir, async (path) => {
    const found = await extractFirst(pkg, options, deps, reader, path)
    const build = await record(pkg, found, options, deps)
    const { url, isDebug, extracted } = found
    const modules = await takeModules(build, extracted.btf, isDebug, { path, url })
    return { build, bytesRead: meter.bytes, modules }
  })
}

/** Whether a build's BTF came from the debug package. */
export function isOfDebug(pkg: Pick<KernelPackage, 'debugs'>, { provenance }: Build): boolean {
  return pkg.debugs.some(({ name }) => name === provenance.packageName)
}

/** What is wrong with modules does not take the kernel's BTF away; what is wrong with the hub, or its end, does. */
async function attempt(work: () => Promise<number>): Promise<IngestedModules> {
  try {
    return { kind: 'added', count: await work() }
  } catch (err) {
    if (isAbort(err) || err instanceof StoreError) throw err
    return { kind: 'failed', reason: err }
  }
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
      verified: options.verify ? verifiedBy(found) : 'none',
      ...identityOf(found),
      paholeVersion: extracted.paholeVersion,
      paholeFlags: extracted.paholeFlags,
      createdAt: deps.now().toISOString(),
      hubVersion,
    },
  })
}

/** What was read to its end was held against what its index says, and the package's own signature. */
function verifiedBy({ file, signer }: FoundBtf): Verified {
  if (file.sha256 !== null && file.signed) return 'signed-index'
  if (signer !== null) return 'package'
  return file.sha256 === null ? 'none' : 'index'
}

interface FoundBtf {
  readonly file: PackageFile
  readonly url: string
  readonly extracted: Extracted
  /** Whose key signed the package itself; null where none did. */
  readonly signer: string | null
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

/**
 * The packages that an `ingest` asks for, where each holds what it is read for: of a build that is there only those with
 * its modules.
 */
export function firstRead(
  pkg: KernelPackage,
  forceDwarf: boolean,
  known: Build | null,
  modules: boolean,
): readonly PackageFile[] {
  const readings = worthReading(pkg, forceDwarf)
  const isDebug =
    known === null ? readings.find(({ forBtf }) => forBtf)?.isDebug === true : isOfDebug(pkg, known)
  const { kernel, apart } = modulePackages(pkg, isDebug)
  const first = (known === null ? readings[0]?.files : kernel)?.slice(0, 1) ?? []
  return modules ? [...first, ...apart] : first
}

/** Does work that writes one of these packages to the disk, in room for the largest; `work` tells what was written. */
async function withRoom<T>(
  files: readonly PackageFile[],
  { signal }: IngestOptions,
  { tempSpace }: IngestDeps,
  work: (onWrite: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  const room = await tempSpace.reserve(Math.max(0, ...files.map((file) => file.sizeBytes ?? 0)), signal)
  try {
    return await work((bytes) => room.wrote(bytes))
  } finally {
    room.release()
  }
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
      const { file, url, result, signer } = await withRoom(
        spoolPath === null ? [] : files,
        options,
        deps,
        (onWrite) =>
          reader.readAny(files, (input, watch) =>
            extract(
              spoolPath === null ? input : { ...input, bytes: spool(input.bytes, spoolPath, onWrite) },
              {
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
                ...watch,
              },
            ),
          ),
      )
      if (forBtf) return { file, url, extracted: result, signer, isDebug, image }
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
