import { writeFile } from 'node:fs/promises'
import PQueue from 'p-queue'
import { BtfError, dedupBtf, mergeBtf, parseBtf } from '../btf/index.ts'
import { sha256Of } from '../core/digest.ts'
import { describeError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { withTempFile } from '../core/temp-file.ts'
import type { ArchiveEntry } from './archive.ts'
import { ByteStream } from './byte-stream.ts'
import { CODEC_MAGIC_BYTES, codecOf, decompress } from './codec.ts'
import { Input } from './input.ts'
import { type ModuleBase, type ModuleBtf, moduleBtf, type ModuleEncoding } from './module-btf.ts'
import { type ModulePath, modulePathOf, readModuleFile } from './module-file.ts'
import { packageEntries } from './package-entries.ts'
import type { PaholeAbilities } from './pahole-flags.ts'
import { paholeAbilities } from './pahole.ts'
import type { PayloadCheck } from './payload-check.ts'
import { severalKernels } from './search-archive.ts'
import { type Extracted, ExtractError, type ExtractInput, type ExtractOptions } from './types.ts'
import { type PackedFile, unpackTogether } from './unpack-together.ts'

export interface ModulesOptions extends Pick<
  ExtractOptions,
  'release' | 'tempDir' | 'jobs' | 'signal' | 'onProgress' | 'judgeHead'
> {
  /** Raw BTF of the kernel that the modules are of. */
  readonly base: Uint8Array
}

/** What a package gave of modules. */
export interface ExtractedModules extends Pick<Extracted, 'sha256' | 'bytesRead'> {
  /** By name. */
  readonly modules: readonly ModuleBtf[]
  /** Modules that have no types. */
  readonly untyped: number
  /** What was refused, a line each, and why. */
  readonly refused: readonly string[]
}

/**
 * Split BTF of every module in a package (deb, rpm, tar), each on the kernel's BTF `base` and checked there, `jobs` of
 * them at a time. The input is read to its end. A module that is not of that kernel is refused; where most are, that is
 * thrown (`INVALID`). A package without modules gives none.
 * Throws ExtractError, the signal's reason, and what the input throws.
 */
export async function extractModules(
  input: ExtractInput,
  options: ModulesOptions,
): Promise<ExtractedModules> {
  const signal = AbortSignal.any([options.signal])
  signal.throwIfAborted()
  const source = new Input(input, { ...options, signal })
  const stream = new ByteStream(source.chunks(), source.name)
  source.enter('modules')
  try {
    return await withTempFile(options.tempDir, async (path) => {
      await writeFile(path, options.base, { flag: 'wx', mode: 0o600 })
      const base = { btf: parseBtf(options.base), path }
      const found = await collect(stream, base, { ...options, signal })
      return { ...found, sha256: source.digest(), bytesRead: source.bytesRead }
    })
  } catch (err) {
    signal.throwIfAborted()
    throw err
  } finally {
    await source.close()
  }
}

/**
 * A kernel and its modules in one id space, each type once. Where comparing all types would take more than
 * `limits.btf.maxDedupSteps`, types that several modules bring along stay several.
 */
export function mergeModules(base: Uint8Array, modules: readonly Pick<ModuleBtf, 'btf'>[]): Uint8Array {
  const kernel = parseBtf(base)
  const merged = mergeBtf(
    kernel,
    modules.map(({ btf }) => parseBtf(btf, { base: kernel })),
  )
  try {
    // Modules were deduplicated one by one, and several bring along what the kernel only declares.
    return dedupBtf(parseBtf(merged), { mergeEqual: true })
  } catch (err) {
    if (err instanceof BtfError && err.code === 'LIMIT') return merged
    throw err
  }
}

type Collected = Pick<ExtractedModules, 'modules' | 'untyped' | 'refused'>

async function collect(stream: ByteStream, base: ModuleBase, options: ModulesOptions): Promise<Collected> {
  const { jobs, signal, judgeHead } = options
  const judge = judgeHead === undefined ? {} : { judgeHead }
  const collection = new Collection(stream.name, base, options)
  let check: PayloadCheck | null = null
  const onPayload = (payload: PayloadCheck): void => void (check = payload)
  const queue = new PQueue({ concurrency: Math.max(1, jobs) })
  let release = options.release
  let batch: PackedModule[] = []
  let batchBytes = 0
  const takeBatch = async (): Promise<void> => {
    const modules = batch
    batch = []
    batchBytes = 0
    // As many wait as are worked on: reading goes on meanwhile, and memory stays bounded.
    await queue.onSizeLessThan(Math.max(1, jobs))
    void queue.add(() => collection.takeAll(modules))
    collection.throwIfBroken()
  }
  try {
    for await (const entry of packageEntries(stream, { jobs, signal, onPayload, ...judge })) {
      const path = entry.kind === 'file' && entry.sizeBytes > 0 ? modulePathOf(entry.path) : null
      if (path === null || (options.release !== null && path.release !== options.release)) continue
      release ??= path.release
      if (path.release !== release) throw severalKernels(stream.name, [release, path.release])
      const packed = await readEntry(entry, stream.name)
      batch.push({ path, packed })
      batchBytes += packed.byteLength
      if (batchBytes >= limits.module.batchBytes) await takeBatch()
    }
    await takeBatch()
    await queue.onIdle()
  } finally {
    queue.clear()
    await queue.onIdle()
  }
  for await (const chunk of stream.rest()) (check as PayloadCheck | null)?.update(chunk)
  ;(check as PayloadCheck | null)?.verify()
  return collection.finish()
}

/** A module as a package has it. */
interface PackedModule {
  readonly path: ModulePath
  readonly packed: Uint8Array
}

async function readEntry(entry: ArchiveEntry, name: string): Promise<Uint8Array> {
  if (entry.sizeBytes > limits.module.maxBytes) {
    throw new ExtractError(
      'LIMIT',
      `${name}: ${entry.path} has ${entry.sizeBytes} bytes, a module has up to ${limits.module.maxBytes}`,
    )
  }
  // Not gathered first: the largest would be in memory twice.
  const bytes = Buffer.allocUnsafe(entry.sizeBytes)
  let used = 0
  for await (const chunk of entry.body()) {
    bytes.set(chunk, used)
    used += chunk.byteLength
  }
  return bytes
}

/** The modules of one package, as they come. */
class Collection {
  readonly #name: string
  readonly #base: ModuleBase
  readonly #options: ModulesOptions
  readonly #encoding: ModuleEncoding
  readonly #modules = new Map<string, ModuleBtf>()
  readonly #refused: string[] = []
  readonly #ambiguous = new Set<string>()
  #abilities: Promise<PaholeAbilities> | null = null
  #untyped = 0
  #count = 0
  #totalBytes = 0
  #broken: Error | null = null

  constructor(name: string, base: ModuleBase, options: ModulesOptions) {
    const { tempDir, signal } = options
    this.#name = name
    this.#base = base
    this.#options = options
    this.#encoding = { tempDir, signal, pahole: () => (this.#abilities ??= this.#askPahole(signal)) }
  }

  /** Reads modules. What is wrong with one alone is told in the end; what stops all is kept to be thrown. */
  async takeAll(batch: readonly PackedModule[]): Promise<void> {
    const left = new Set(batch)
    try {
      for await (const { of, bytes } of unpackTogether(batch.flatMap(packedFile), this.#options.signal)) {
        left.delete(of)
        await this.#take(of.path, () => bytes)
        if (this.#broken !== null) return
      }
      for (const { path, packed } of left) await this.#take(path, () => this.#unpack(path, packed))
    } catch (err) {
      this.#broken ??= err as Error
    }
  }

  async #take(path: ModulePath, unpack: () => Uint8Array | Promise<Uint8Array>): Promise<void> {
    if (this.#broken !== null) return
    try {
      if (++this.#count > limits.module.maxCount) {
        throw new ExtractError('LIMIT', `${this.#name}: more than ${limits.module.maxCount} modules`)
      }
      const bytes = await unpack()
      const made = await moduleBtf(readModuleFile(bytes, path), bytes, this.#base, this.#encoding)
      if (made === null) this.#untyped++
      else this.#keep(made)
    } catch (err) {
      if (isOfThisModule(err)) this.#refused.push(`${path.stem}: ${describeError(err)}`)
      else this.#broken ??= err as Error
    }
  }

  throwIfBroken(): void {
    if (this.#broken !== null) throw this.#broken
  }

  /** By name, so that the order of a package does not show. */
  finish(): Collected {
    this.throwIfBroken()
    for (const name of this.#ambiguous) this.#modules.delete(name)
    const refused = this.#refused.toSorted()
    // Modules of one package are of one kernel. One without names of its own passes on any base.
    if (refused[0] !== undefined && refused.length > this.#modules.size) {
      throw new ExtractError(
        'INVALID',
        `${this.#name}: ${refused.length} of ${this.#count} modules do not hold: ${refused[0]}`,
      )
    }
    const modules = [...this.#modules.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    return { modules, untyped: this.#untyped, refused }
  }

  /** Where there is no pahole, no module has to be tried. */
  async #askPahole(signal: AbortSignal): Promise<PaholeAbilities> {
    try {
      return await paholeAbilities(signal)
    } catch (err) {
      this.#broken ??= err as Error
      throw err
    }
  }

  async #unpack(path: ModulePath, packed: Uint8Array): Promise<Uint8Array> {
    const codec = codecOf(packed.subarray(0, CODEC_MAGIC_BYTES), path.stem)
    if (codec === null) return packed
    const { signal } = this.#options
    const how = { name: path.stem, signal, maxBytes: limits.module.maxBytes, threads: 1 }
    const chunks: Uint8Array[] = []
    for await (const chunk of decompress(codec, once(packed), how)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  #keep(made: ModuleBtf): void {
    const known = this.#modules.get(made.name)
    if (known === undefined) {
      this.#totalBytes += made.btf.byteLength
      if (this.#totalBytes > limits.module.maxTotalBytes) {
        throw new ExtractError(
          'LIMIT',
          `${this.#name}: modules with more than ${this.#totalBytes} bytes of BTF`,
        )
      }
      this.#modules.set(made.name, made)
    } else if (sha256Of(known.btf) !== sha256Of(made.btf) && !this.#ambiguous.has(made.name)) {
      // Which of them a kernel loads is depmod's to say.
      this.#ambiguous.add(made.name)
      this.#refused.push(`${made.name}: two modules of that name, with different types`)
    }
  }
}

/** None where it is not compressed, or nobody can unpack it. */
function packedFile(module: PackedModule): PackedFile<PackedModule>[] {
  const { path, packed } = module
  try {
    const codec = codecOf(packed.subarray(0, CODEC_MAGIC_BYTES), path.stem)
    return codec === null ? [] : [{ of: module, codec, packed }]
  } catch (err) {
    if (err instanceof ExtractError) return []
    throw err
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}

/** What passes a limit is a bomb, and an error of other kinds a fault of ours or of this machine. */
function isOfThisModule(err: unknown): boolean {
  return (err instanceof BtfError || err instanceof ExtractError) && err.code !== 'LIMIT'
}
