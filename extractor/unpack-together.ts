import { limits } from '../core/limits.ts'
import { type Codec, decompress } from './codec.ts'
import { statedSize } from './stated-size.ts'
import { ExtractError } from './types.ts'

/** A compressed file, and what it is. */
export interface PackedFile<T> {
  readonly of: T
  readonly codec: Codec
  readonly packed: Uint8Array
}

/** One that says how large it was. */
interface SizedFile<T> extends PackedFile<T> {
  readonly sizeBytes: number
}

/** What came out of a file. */
export interface UnpackedFile<T> {
  readonly of: T
  readonly bytes: Uint8Array
}

/**
 * Unpacks files with one program per compression, for starting one costs more than a small file. What comes out is parted
 * by the sizes that the files state; those that state none are left out. Each is given when its checksum was compared:
 * when something of the next came out, or the program ended well. From the first that does not hold on none is given, and
 * nothing is thrown: unpacked alone, it says what is wrong. Throws ExtractError `TOOL` and the signal's reason.
 */
export async function* unpackTogether<T>(
  files: readonly PackedFile<T>[],
  signal: AbortSignal,
): AsyncGenerator<UnpackedFile<T>, void, undefined> {
  const sized = files.flatMap((file) => {
    const sizeBytes = statedSize(file.codec, file.packed)
    return sizeBytes === null || sizeBytes > limits.module.maxBytes ? [] : [{ ...file, sizeBytes }]
  })
  for (const codec of new Set(sized.map((file) => file.codec))) {
    const same = sized.filter((file) => file.codec === codec)
    yield* unpackOneAfterTheOther(codec, same, signal)
  }
}

async function* unpackOneAfterTheOther<T>(
  codec: Codec,
  files: readonly SizedFile<T>[],
  signal: AbortSignal,
): AsyncGenerator<UnpackedFile<T>, void, undefined> {
  const maxBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const how = { name: 'files together', signal, maxBytes, threads: 1, isConcatenated: true }
  const parts = new Parts(files)
  try {
    for await (const chunk of decompress(codec, packedOf(files), how)) {
      for (let rest = chunk; rest.byteLength > 0;) {
        yield* parts.takeWhole()
        rest = parts.put(rest)
      }
    }
    yield* parts.takeWhole()
  } catch (err) {
    signal.throwIfAborted()
    if (!(err instanceof ExtractError) || err.code === 'TOOL') throw err
  }
}

async function* packedOf(files: readonly PackedFile<unknown>[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { packed } of files) yield packed
}

/** The files of a stream, of which the first that is not whole yet is filled. */
class Parts<T> {
  readonly #files: readonly SizedFile<T>[]
  #at = 0
  #bytes: Uint8Array | null = null
  #used = 0

  constructor(files: readonly SizedFile<T>[]) {
    this.#files = files
  }

  /** Gives the file that is whole, and those that are empty. */
  *takeWhole(): Generator<UnpackedFile<T>, void, undefined> {
    for (; ; this.#at++) {
      const file = this.#files[this.#at]
      if (file === undefined || this.#used < file.sizeBytes) return
      const bytes = this.#bytes ?? new Uint8Array(0)
      this.#bytes = null
      this.#used = 0
      yield { of: file.of, bytes }
    }
  }

  /** Fills the file with what belongs to it; gives what is left. */
  put(chunk: Uint8Array): Uint8Array {
    const { sizeBytes } = this.#files[this.#at] as SizedFile<T>
    this.#bytes ??= Buffer.allocUnsafe(sizeBytes)
    const mine = chunk.subarray(0, sizeBytes - this.#used)
    this.#bytes.set(mine, this.#used)
    this.#used += mine.byteLength
    return chunk.subarray(mine.byteLength)
  }
}
