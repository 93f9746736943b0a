import { createGunzip } from 'node:zlib'
import { limits } from '../core/limits.ts'
import { ByteStream } from './byte-stream.ts'
import { filterThrough, type Program } from './child.ts'
import { unpackLz4Legacy } from './lz4.ts'
import { pump, SourceFailure } from './pump.ts'
import { ExtractError } from './types.ts'

export type Codec = 'gzip' | 'xz' | 'lzma' | 'zstd' | 'bzip2' | 'lz4'

/** Magic numbers of the kernel's decompressors (lib/decompress.c), each as long as the format makes it. */
const MAGICS: readonly (readonly [Codec | 'lzo', readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['lzo', [0x89, 0x4c, 0x5a]],
]

/** The bytes that {@link codecOf} needs to see. */
export const CODEC_MAGIC_BYTES = 6

/** The compression that the first bytes tell; null where they tell none. Throws ExtractError `UNSUPPORTED` for LZO. */
export function codecOf(head: Uint8Array, name: string): Codec | null {
  const codec = MAGICS.find(([, magic]) => magic.every((byte, i) => head[i] === byte))?.[0] ?? null
  if (codec === 'lzo') {
    throw new ExtractError(
      'UNSUPPORTED',
      `${name}: compressed with LZO, which no distribution kernel with BTF is`,
    )
  }
  return codec
}

const XZ: Program = { name: 'xz', packages: 'xz-utils' }
const ZSTD: Program = { name: 'zstd', packages: 'zstd' }
const BZIP2: Program = { name: 'bzip2', packages: 'bzip2' }

export interface Decompression {
  /** For messages. */
  readonly name: string
  readonly signal: AbortSignal
  /** More than this is refused while it comes out. */
  readonly maxBytes: number
  /** xz blocks that are unpacked at a time. */
  readonly threads: number
  /** True for files one after the other; else bytes behind the first xz stream are left alone. */
  readonly isConcatenated?: boolean
}

/**
 * Unpacks a stream; leaving the loop ends the program that does it. Throws ExtractError `MALFORMED`, `LIMIT` or `TOOL`,
 * and what the source throws.
 */
export function decompress(
  codec: Codec,
  source: AsyncIterable<Uint8Array>,
  how: Decompression,
): AsyncGenerator<Uint8Array, void, undefined> {
  const counted = new Counted(source)
  return bounded(unpack(codec, counted, how), counted, how)
}

function unpack(
  codec: Codec,
  source: AsyncIterable<Uint8Array>,
  how: Decompression,
): AsyncIterable<Uint8Array> {
  const { name, signal } = how
  const memory = limits.process.maxDecoderBytes
  switch (codec) {
    case 'gzip':
      return gunzip(source, name)
    case 'lz4':
      return unpackLz4Legacy(new ByteStream(source, name))
    case 'xz':
    case 'lzma': {
      const bounds = [`--memlimit-decompress=${memory}`, `--threads=${how.threads}`]
      const reach = how.isConcatenated === true ? [] : ['--single-stream']
      return filterThrough(XZ, ['-dcq', `--format=${codec}`, ...reach, ...bounds], source, name, signal)
    }
    case 'zstd':
      return filterThrough(ZSTD, ['-dcq', `--memory=${memory / (1 << 20)}MB`], source, name, signal)
    case 'bzip2':
      return filterThrough(BZIP2, ['-dcq'], source, name, signal)
  }
}

async function* gunzip(
  source: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const inflater = createGunzip({ chunkSize: 256 * 1024 })
  try {
    yield* pump(source, inflater, inflater)
  } catch (err) {
    if (err instanceof SourceFailure) throw err.cause
    throw new ExtractError('MALFORMED', `${name}: gzip`, { cause: err })
  }
}

/** Counts what is taken from a source. */
class Counted implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterable<Uint8Array>
  bytes = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of this.#source) {
      this.bytes += chunk.byteLength
      yield chunk
    }
  }
}

/** Small inputs may have any ratio: what they can do is bounded by this. */
const RATIO_GRACE_BYTES = 64 << 20

async function* bounded(
  output: AsyncIterable<Uint8Array>,
  input: Counted,
  how: Decompression,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0
  for await (const chunk of output) {
    bytes += chunk.byteLength
    if (bytes > how.maxBytes) {
      throw new ExtractError('LIMIT', `${how.name}: unpacks to more than ${how.maxBytes} bytes`)
    }
    if (bytes > RATIO_GRACE_BYTES && bytes > input.bytes * limits.package.maxRatio) {
      throw new ExtractError(
        'LIMIT',
        `${how.name}: ${input.bytes} bytes unpack to more than ${limits.package.maxRatio} times as many`,
      )
    }
    yield chunk
  }
}
