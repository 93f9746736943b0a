import { layoutDigest, parseBtf } from '../../btf/index.ts'
import { describeError, HubError, isAbort } from '../../core/errors.ts'
import { type Http, HttpError } from '../../core/http.ts'
import { type KernelPackage, type PackageFile, packageKey } from '../../core/kernel-package.ts'
import { limits } from '../../core/limits.ts'
import type { Log } from '../../core/log.ts'
import { hubVersion } from '../../core/version.ts'
import { extract, type Extracted, ExtractError } from '../../extractor/index.ts'
import type { BlobStore, Build, Catalog } from '../../store/index.ts'

/**
 * `GONE`: no mirror has the package any more. `BAD_DIGEST`: on every mirror it is something else than the index says.
 * `NO_BTF`: the kernel has none, and no package with DWARF is offered.
 */
export type IngestErrorCode = 'GONE' | 'BAD_DIGEST' | 'NO_BTF'
export class IngestError extends HubError<IngestErrorCode> {}

export interface IngestDeps {
  readonly http: Http
  readonly catalog: Catalog
  readonly blobs: BlobStore
  readonly tempDir: string
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
  readonly signal: AbortSignal
  readonly onProgress: (phase: string, bytesRead: number) => void
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
  const meter = { bytes: 0 }
  const { file, url, extracted } = await extractFirst(pkg, options, deps, meter)
  const btf = await deps.blobs.put(extracted.btf)
  const build = await deps.catalog.addBuild({
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
      verified: !options.verify || file.sha256 === null ? 'none' : pkg.signed ? 'signed-index' : 'index',
      buildId: extracted.buildId,
      banner: extracted.banner,
      paholeVersion: extracted.paholeVersion,
      paholeFlags: extracted.paholeFlags,
      warnings: extracted.warnings,
      createdAt: deps.now().toISOString(),
      hubVersion,
    },
  })
  return { build, bytesRead: meter.bytes }
}

interface FoundBtf {
  readonly file: PackageFile
  readonly url: string
  readonly extracted: Extracted
}

/** Packages of one kind after another: images only where they may have BTF or there is nothing else. */
export function worthReading(pkg: KernelPackage, forceDwarf: boolean): readonly (readonly PackageFile[])[] {
  if (forceDwarf) return [pkg.debugs]
  return pkg.imagesHaveBtf === false && pkg.debugs.length > 0 ? [pkg.debugs] : [pkg.images, pkg.debugs]
}

/** Image first, DWARF where the image has no BTF. */
async function extractFirst(
  pkg: KernelPackage,
  options: IngestOptions,
  deps: IngestDeps,
  meter: { bytes: number },
): Promise<FoundBtf> {
  for (const files of worthReading(pkg, options.forceDwarf)) {
    if (files.length === 0) continue
    try {
      return await fromAny(pkg, files, options, deps, meter)
    } catch (err) {
      if (!(err instanceof ExtractError && err.code === 'NO_BTF')) throw err
      deps.log.info({ kernel: pkg.kernel, package: files[0]?.name }, 'no BTF in this package')
      if (files === pkg.images) options.onImageWithoutBtf?.()
    }
  }
  throw new IngestError(
    'NO_BTF',
    options.forceDwarf && pkg.debugs.length === 0
      ? `${pkg.packageName} ${pkg.packageVersion}: no debug package is offered`
      : `${pkg.packageName} ${pkg.packageVersion}: no BTF in what is offered`,
  )
}

/**
 * Twins of one package (signed and unsigned) on all mirrors: the next is asked where one is ill, lacks the file or gives
 * something else. The reason that is told in the end
 * is that of the mirror that said most: one that sent something wrong before one that had nothing or was ill.
 */
async function fromAny(
  pkg: KernelPackage,
  files: readonly PackageFile[],
  options: IngestOptions,
  deps: IngestDeps,
  meter: { bytes: number },
): Promise<FoundBtf> {
  let reason: unknown = new IngestError('GONE', `${pkg.packageName} ${pkg.packageVersion}: no URL is known`)
  let weight = -1
  for (const { file, url } of files.flatMap((one) => one.urls.map((at) => ({ file: one, url: at })))) {
    options.signal.throwIfAborted()
    try {
      return { file, url, extracted: await fromUrl(pkg, file, url, options, deps, meter) }
    } catch (err) {
      // A fact about the kernel, a fault of ours or of this machine: another mirror would not change it.
      if (isAbort(err) || (err instanceof ExtractError && (err.code === 'NO_BTF' || err.code === 'TOOL')))
        throw err
      if (weightOf(err) > weight) {
        reason = err
        weight = weightOf(err)
      }
      deps.log.info({ url, reason: describeError(err) }, 'package could not be used from this mirror')
    }
  }
  throw reason
}

function weightOf(err: unknown): number {
  if (err instanceof HttpError && err.code === 'ILL') return 0
  return err instanceof IngestError && err.code === 'GONE' ? 1 : 2
}

async function fromUrl(
  pkg: KernelPackage,
  file: PackageFile,
  url: string,
  options: IngestOptions,
  deps: IngestDeps,
  meter: { bytes: number },
): Promise<Extracted> {
  const { signal } = options
  const stream = await deps.http.stream(url, { signal, maxBytes: file.sizeBytes ?? limits.package.maxBytes })
  if (stream === null) throw new IngestError('GONE', `${url}: not there any more`)
  if (file.sizeBytes !== null && stream.sizeBytes !== null && stream.sizeBytes !== file.sizeBytes) {
    throw new IngestError('BAD_DIGEST', `${url}: ${stream.sizeBytes} bytes, the index says ${file.sizeBytes}`)
  }
  const before = meter.bytes
  const extracted = await extract(
    { name: url, bytes: stream.bytes },
    {
      release: pkg.kernel.release,
      forceDwarf: options.forceDwarf,
      readToEnd: options.verify,
      tempDir: deps.tempDir,
      jobs: options.jobs,
      signal,
      log: deps.log,
      onProgress: (phase, bytesRead) => {
        meter.bytes = before + bytesRead
        options.onProgress(phase, meter.bytes)
      },
    },
  )
  meter.bytes = before + extracted.bytesRead
  if (options.verify && file.sha256 !== null && extracted.sha256 !== file.sha256) {
    throw new IngestError('BAD_DIGEST', `${url}: sha256 ${extracted.sha256}, the index says ${file.sha256}`)
  }
  return extracted
}
