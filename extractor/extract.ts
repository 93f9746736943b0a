import { withTempFile } from '../core/temp-file.ts'
import { ByteStream } from './byte-stream.ts'
import { Input } from './input.ts'
import { encodeDwarf } from './pahole.ts'
import type { Found } from './found.ts'
import { search } from './search.ts'
import { type Extracted, ExtractError, type ExtractInput, type ExtractOptions } from './types.ts'

/**
 * Gets a kernel's BTF out of a Debian package, kernel image, ELF, raw BTF, or a compressed file or tar of such; the
 * kind is told by the bytes. Image and BTF are unpacked only as far as needed, DWARF goes through a temporary vmlinux
 * and pahole; the rest of the input is only hashed (`readToEnd`), beside pahole, or not read. What comes out is
 * parsed whole and checked; that the digest is the right one is for the caller to see.
 *
 * Throws {@link ExtractError}, the signal's reason, and what the input throws. No temporary file and no process is
 * left, whatever happens.
 */
export async function extract(input: ExtractInput, given: ExtractOptions): Promise<Extracted> {
  // One of its own: a dozen jobs listening on one signal make Node warn of a leak.
  const options = { ...given, signal: AbortSignal.any([given.signal]) }
  options.signal.throwIfAborted()
  const source = new Input(input, options)
  try {
    return await withTempFile(options.tempDir, async (tempPath) => {
      const found = await searchInput(source, options, tempPath)
      options.log.debug({ input: input.name, kind: found.kind, bytesRead: source.bytesRead }, 'kernel found')
      return await finish(found, source, options)
    })
  } catch (err) {
    // Whatever an abort broke, the abort is why.
    options.signal.throwIfAborted()
    throw err
  } finally {
    await source.close()
  }
}

async function searchInput(source: Input, options: ExtractOptions, tempPath: string): Promise<Found> {
  const { release, forceDwarf, jobs, signal } = options
  const stream = new ByteStream(source.chunks(), source.name)
  source.enter('reading')
  try {
    const onKernel = (): void => source.enter('unwrapping')
    const found = await search(stream, { release, forceDwarf, jobs, signal, tempPath, onKernel })
    if (found !== null) return found
  } finally {
    await stream.close()
  }
  throw new ExtractError(
    'NO_BTF',
    `${source.name}: has no ${forceDwarf ? 'DWARF' : 'BTF, and no DWARF to make it of'}`,
  )
}

async function finish(found: Found, source: Input, options: ExtractOptions): Promise<Extracted> {
  const readOn = async (): Promise<void> => (options.readToEnd ? await source.drain() : undefined)
  const { buildId, banner, warnings } = found
  const facts = { buildId, banner }
  if (found.kind === 'btf') {
    source.enter('hashing')
    await readOn()
    const made = { origin: 'embedded', paholeVersion: null, paholeFlags: null, warnings } as const
    return { btf: found.btf, ...facts, ...made, ...read(source, options) }
  }
  source.enter('encoding')
  const encoding = { name: source.name, tempDir: options.tempDir, jobs: options.jobs }
  const encoded = await beside(
    (signal) => encodeDwarf(found.path, { ...encoding, signal }),
    readOn,
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
