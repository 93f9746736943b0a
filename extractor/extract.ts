import { withTempFile } from '../core/temp-file.ts'
import { AltFiles } from './alt-files.ts'
import { ByteStream } from './byte-stream.ts'
import { Input } from './input.ts'
import { encodeDwarf } from './pahole.ts'
import type { PayloadCheck } from './payload-check.ts'
import type { Found } from './found.ts'
import { search } from './search.ts'
import { TempSpace } from './temp-space.ts'
import {
  type Extracted,
  type ExtractInput,
  type ExtractOptions,
  type KernelIds,
  NoBtfError,
} from './types.ts'

/**
 * Gets a kernel's BTF out of a Debian package, kernel image, ELF, raw BTF, or a compressed file or tar of such; the
 * kind is told by the bytes. Image and BTF are unpacked only as far as needed, DWARF goes through a temporary vmlinux
 * and pahole; the rest of the input is only hashed (`readToEnd`), beside pahole, or not read. What comes out is
 * parsed whole and checked; that the digest is the right one is for the caller to see.
 *
 * Throws {@link ExtractError}, of which {@link NoBtfError} has what the kernel says of itself and the digest of the input,
 * the signal's reason, and what the input throws. No temporary file and no process is
 * left, whatever happens.
 */
export async function extract(input: ExtractInput, given: ExtractOptions): Promise<Extracted> {
  // One of its own: a dozen jobs listening on one signal make Node warn of a leak.
  const options = { ...given, signal: AbortSignal.any([given.signal]) }
  options.signal.throwIfAborted()
  const source = new Input(input, options)
  const reading = { source, stream: new ByteStream(source.chunks(), source.name), options }
  try {
    const { tempDir, log } = options
    return await withTempFile(tempDir, (tempPath) =>
      withTempFile(tempDir, async (altDir) => {
        const alts = altFiles(reading, altDir)
        const { found, check } = await searchInput(reading, tempPath, alts)
        log.debug({ input: input.name, kind: found.kind, bytesRead: source.bytesRead }, 'kernel found')
        return await finish(found, check, alts, reading)
      }),
    )
  } catch (err) {
    // Whatever an abort broke, the abort is why.
    options.signal.throwIfAborted()
    throw err
  } finally {
    await source.close()
  }
}

/** The input, and as what it is read. */
interface Reading {
  readonly source: Input
  readonly stream: ByteStream
  readonly options: ExtractOptions
}

async function searchInput(
  { source, stream, options }: Reading,
  tempPath: string,
  alts: AltFiles,
): Promise<{ readonly found: Found; readonly check: PayloadCheck | null }> {
  const { release, forceDwarf, jobs, signal, expected = null } = options
  const tempSpace = spaceOf(options)
  const judge = options.judgeHead === undefined ? {} : { judgeHead: options.judgeHead }
  const wanted = { release, forceDwarf, jobs, signal, expected, tempPath, tempSpace, alts, ...judge }
  let check: PayloadCheck | null = null
  let ids: KernelIds = { buildId: null, banner: null }
  const events = {
    onKernel: () => source.enter('unwrapping'),
    onIds: (seen: KernelIds) => (ids = seen),
    onPayload: (payload: PayloadCheck) => (check = payload),
  }
  source.enter('reading')
  const found = await search(stream, { ...wanted, ...events })
  if (found !== null) return { found, check }
  if (options.readToEndWithoutBtf === true) await readOn(check, { source, stream, options })
  const what = forceDwarf ? 'DWARF' : 'BTF, and no DWARF to make it of'
  throw new NoBtfError(`${source.name}: has no ${what}`, { kernel: ids, ...read(source, options) })
}

/** The rest of the input, for its digest, where that is wanted. */
async function readOn(check: PayloadCheck | null, { stream, options }: Reading): Promise<void> {
  if (!options.readToEnd) return
  for await (const chunk of stream.rest()) check?.update(chunk)
  check?.verify()
}

async function finish(
  found: Found,
  check: PayloadCheck | null,
  alts: AltFiles,
  reading: Reading,
): Promise<Extracted> {
  const { source, options } = reading
  const { buildId, banner, warnings } = found
  const facts = { buildId, banner }
  if (found.kind === 'btf') {
    source.enter('hashing')
    await readOn(check, reading)
    const made = { origin: 'embedded', paholeVersion: null, paholeFlags: null, warnings } as const
    return { btf: found.btf, ...facts, ...made, ...read(source, options) }
  }
  source.enter('encoding')
  const { tempDir, jobs, expected = null } = options
  const encoding = { name: source.name, tempDir, space: spaceOf(options), alts, jobs, expected }
  const encoded = await beside(
    (signal) => encodeDwarf(found.path, { ...encoding, signal }),
    () => readOn(check, reading),
    options.signal,
  )
  return {
    btf: encoded.btf,
    origin: 'dwarf',
    ...facts,
    paholeVersion: encoded.version,
    paholeFlags: encoded.flags,
    warnings: [...warnings, ...encoded.warnings],
    ...read(source, options),
  }
}

/** Copies go to `dir`, a folder that is there if there are any. */
function altFiles({ source, options }: Reading, dir: string): AltFiles {
  const { signal, localPath = null } = options
  return new AltFiles({ name: source.name, dir, space: spaceOf(options), signal, localPath })
}

function spaceOf({ tempSpace, tempDir }: ExtractOptions): TempSpace {
  return tempSpace ?? new TempSpace(tempDir)
}

function read(source: Input, options: ExtractOptions): Pick<Extracted, 'sha256' | 'bytesRead'> {
  return { sha256: options.readToEnd ? source.digest() : null, bytesRead: source.bytesRead }
}

/** Runs `work` while `other` runs. Where either fails, `work` is over before that is told. */
async function beside<T>(
  work: (signal: AbortSignal) => Promise<T>,
  other: () => Promise<void>,
  signal: AbortSignal,
): Promise<T> {
  const stop = new AbortController()
  const working = work(AbortSignal.any([signal, stop.signal]))
  try {
    const [result] = await Promise.all([working, other()])
    return result
  } catch (err) {
    stop.abort(err)
    await working.catch(() => undefined)
    throw err
  }
}
