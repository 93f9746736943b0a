import { spawn } from 'node:child_process'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { describeError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { CrawlError } from './types.ts'

/** How an index is compressed, by the ending of its name, in the order that we would rather have it. */
export const CODINGS = ['.xz', '.zst', '.gz', '', '.bz2'] as const
export type Coding = (typeof CODINGS)[number]

/**
 * The content of an index, in memory or on its way, streamed. Throws `MALFORMED` where it is no such file or unpacks to more
 * than `maxBytes`, and `TOOL` where the program for it is missing. Leaving the loop ends the program.
 */
export async function* unpack(
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
  coding: Coding,
  maxBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let unpacked = 0
  for await (const chunk of open(bytes instanceof Uint8Array ? slices(bytes) : bytes, coding, signal)) {
    unpacked += chunk.byteLength
    if (unpacked > maxBytes) {
      throw new CrawlError('MALFORMED', `unpack ${coding}: expected at most ${maxBytes} bytes, got more`)
    }
    yield chunk
  }
}

function open(
  bytes: AsyncIterable<Uint8Array>,
  coding: Coding,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  switch (coding) {
    case '':
      return bytes
    case '.gz':
      return gunzipped(bytes, signal)
    case '.xz':
      return piped('xz', ['-dcq'], bytes, signal)
    case '.zst':
      return piped('zstd', ['-dcq'], bytes, signal)
    case '.bz2':
      return piped('bzip2', ['-dc'], bytes, signal)
  }
}

async function* gunzipped(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const stream = createGunzip({ chunkSize: 64 * 1024 })
  const input = feed(bytes, stream)
  try {
    for await (const chunk of stream) {
      signal.throwIfAborted()
      yield chunk as Buffer
    }
    await input.done
  } catch (err) {
    signal.throwIfAborted()
    await input.failure()
    throw new CrawlError('MALFORMED', `unpack .gz: ${describeError(err)}`, { cause: err })
  } finally {
    stream.destroy()
    await input.done.catch(() => undefined)
  }
}

/** A program's standard output for these bytes on its standard input. */
async function* piped(
  program: string,
  args: readonly string[],
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted()
  // XZ_OPT and the like could change what the program does.
  const child = spawn(program, args, { env: { PATH: process.env.PATH, LC_ALL: 'C' }, stdio: 'pipe' })
  const ended = new Promise<number | Error>((resolve) => {
    child.once('error', resolve)
    child.once('close', (code, killedBy) => resolve(code ?? new Error(`killed by ${killedBy ?? 'nobody'}`)))
  })
  const kill = (): boolean => child.kill('SIGKILL')
  signal.addEventListener('abort', kill, { once: true })
  let stderr = ''
  child.stderr.on('data', (text: Buffer) => {
    stderr = (stderr + text.toString()).slice(-limits.process.maxStderrBytes)
  })
  const input = feed(bytes, child.stdin)
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer
    const end = await ended
    signal.throwIfAborted()
    await input.failure()
    if (end instanceof Error) {
      throw new CrawlError('TOOL', `${program}: ${describeError(end)}; is it installed?`, { cause: end })
    }
    if (end !== 0) throw new CrawlError('MALFORMED', `${program} ended with ${end}: ${stderr.trim()}`)
  } finally {
    signal.removeEventListener('abort', kill)
    kill()
    await ended
    await input.done.catch(() => undefined)
  }
}

/** Writes all of `bytes` into a decoder. */
function feed(
  bytes: AsyncIterable<Uint8Array>,
  decoder: Writable,
): {
  /** Rejects where either end of the pipe fails. */
  readonly done: Promise<void>
  /** Throws where it was the input that failed: then the decoder is not to blame. */
  failure(): Promise<void>
} {
  let fault: { readonly err: unknown } | null = null
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* bytes
    } catch (err) {
      fault = { err }
      throw err
    }
  }
  const done = pipeline(watched(), decoder)
  // Nobody may be waiting yet when it fails; who waits later is still told.
  done.catch(() => undefined)
  return {
    done,
    async failure() {
      // A decoder that ended early closes its input, which ends the pipe.
      await done.catch(() => undefined)
      if (fault !== null) throw fault.err
    },
  }
}

async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024)
}
