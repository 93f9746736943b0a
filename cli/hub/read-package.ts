import type { Sha256 } from '../../core/digest.ts'
import { describeError, HubError, isAbort } from '../../core/errors.ts'
import { type Http, HttpError } from '../../core/http.ts'
import type { PackageFile } from '../../core/kernel-package.ts'
import { limits } from '../../core/limits.ts'
import type { Log } from '../../core/log.ts'
import type { HeadJudge } from '../../core/package-proof.ts'
import type { PackageTrust } from '../../crawler/index.ts'
import { ExtractError, type ExtractInput, NoBtfError } from '../../extractor/index.ts'
import { packageWitness } from './package-witness.ts'

/**
 * `GONE`: no mirror has the package any more. `BAD_DIGEST`: on every mirror it is something else than the index says.
 * `NO_BTF`: the kernel has none, and no package with DWARF is offered.
 */
export type IngestErrorCode = 'GONE' | 'BAD_DIGEST' | 'NO_BTF'
export class IngestError extends HubError<IngestErrorCode> {}

/** Bytes of packages that were read for one build, those of attempts that failed included. */
export interface Meter {
  bytes: number
}

export interface ReadOptions {
  /** Read packages to their end and compare their digest with the index before anything is published. */
  readonly verify: boolean
  /** Who tells whether packages are signed; null where nobody's keys are there. */
  readonly trust?: PackageTrust | null
  readonly signal: AbortSignal
  readonly onProgress: (phase: string, bytesRead: number) => void
  /** What is told of packages that are about to be read, where their index said too little. */
  readonly details?: (files: readonly PackageFile[]) => Promise<readonly PackageFile[]>
}

/** What reading a package gives, besides what it was read for. */
interface WasRead {
  readonly sha256: Sha256 | null
  readonly bytesRead: number
}

/** Reads a package; it tells how far it is, and asks whether its head is believed. */
export type Read<T extends WasRead> = (
  input: ExtractInput,
  watch: {
    readonly onProgress: (phase: string, bytesRead: number) => void
    readonly judgeHead: HeadJudge
  },
) => Promise<T>

/** What reading a package gave, and where it is from. */
export interface ReadPackage<T extends WasRead> {
  readonly file: PackageFile
  readonly url: string
  readonly result: T
  /** Fingerprint of the key that signed the package itself; null where none that counts did, or not all was read. */
  readonly signer: string | null
}

export interface PackageReader {
  /**
   * Reads the first of `files` that can be had and is what its index says, from the first of its mirrors that gives it.
   * Twins of one package (signed and unsigned) are as good as each other: the next is asked where one is ill, lacks the
   * file or gives something else. The reason that is told in the end is that of the mirror that said most: one that sent
   * something wrong before one that was ill, that before one that had nothing. Throws {@link IngestError}, HttpError, and what `read`
   * throws; a NoBtfError with a digest only where that is right.
   */
  readAny<T extends WasRead>(files: readonly PackageFile[], read: Read<T>): Promise<ReadPackage<T>>
}

export function createPackageReader(
  deps: { readonly http: Http; readonly log: Log },
  options: ReadOptions,
  meter: Meter,
): PackageReader {
  async function readAny<T extends WasRead>(
    offered: readonly PackageFile[],
    read: Read<T>,
  ): Promise<ReadPackage<T>> {
    const files = (await options.details?.(offered)) ?? offered
    const name = files[0] === undefined ? 'a package' : `${files[0].name} ${files[0].version}`
    let reason: unknown = new IngestError('GONE', `${name}: no URL is known`)
    let weight = -1
    for (const { file, url } of files.flatMap((one) => one.urls.map((at) => ({ file: one, url: at })))) {
      options.signal.throwIfAborted()
      try {
        return { file, url, ...(await readUrl(file, url, read)) }
      } catch (err) {
        // A fact about the kernel, a fault of ours or of this machine: another mirror would not change it.
        if (isAbort(err) || err instanceof NoBtfError) throw err
        if (err instanceof ExtractError && (err.code === 'TOOL' || err.code === 'NO_SPACE')) throw err
        if (weightOf(err) > weight) {
          reason = err
          weight = weightOf(err)
        }
        deps.log.info({ url, reason: describeError(err) }, 'package could not be used from this mirror')
      }
    }
    throw reason
  }

  async function readUrl<T extends WasRead>(
    file: PackageFile,
    url: string,
    read: Read<T>,
  ): Promise<Pick<ReadPackage<T>, 'result' | 'signer'>> {
    const maxBytes = file.sizeBytes ?? limits.package.maxBytes
    const stream = await deps.http.stream(url, { signal: options.signal, maxBytes })
    if (stream === null) throw new IngestError('GONE', `${url}: not there any more`)
    if (file.sizeBytes !== null && stream.sizeBytes !== null && stream.sizeBytes !== file.sizeBytes) {
      await stream.discard()
      throw new IngestError(
        'BAD_DIGEST',
        `${url}: ${stream.sizeBytes} bytes, the index says ${file.sizeBytes}`,
      )
    }
    const before = meter.bytes
    const witness = packageWitness(file, url, options.trust ?? null)
    const done = ({ sha256, bytesRead }: WasRead): string | null => {
      meter.bytes = before + bytesRead
      if (!options.verify) return null
      if (file.sha256 !== null && sha256 !== file.sha256) {
        throw new IngestError('BAD_DIGEST', `${url}: sha256 ${sha256}, the index says ${file.sha256}`)
      }
      return witness.signer()
    }
    const onProgress = (phase: string, bytesRead: number): void => {
      meter.bytes = before + bytesRead
      options.onProgress(phase, meter.bytes)
    }
    try {
      const watch = { onProgress, judgeHead: witness.judge }
      const result = await read({ name: url, bytes: stream.bytes }, watch)
      return { result, signer: done(result) }
    } catch (err) {
      if (err instanceof NoBtfError && err.sha256 !== null) done(err)
      throw err
    }
  }

  return { readAny }
}

function weightOf(err: unknown): number {
  // Where one was ill, that others have nothing does not say that it is gone.
  if (err instanceof IngestError && err.code === 'GONE') return 0
  return err instanceof HttpError && err.code === 'ILL' ? 1 : 2
}
