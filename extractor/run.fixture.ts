import { execFileSync } from 'node:child_process'
import { ByteStream } from './byte-stream.ts'

/** Runs a tool to its end; its stdout. What it says on stderr is shown only where it fails. */
export function run(program: string, args: readonly string[], input?: Uint8Array, cwd?: string): Buffer {
  return execFileSync(program, args, {
    ...(input === undefined ? {} : { input }),
    ...(cwd === undefined ? {} : { cwd }),
    maxBuffer: 1 << 30,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

/** Bytes as a stream of chunks of `size`. */
export async function* chunks(bytes: Uint8Array, size = 65536): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size)
}

export function streamOf(bytes: Uint8Array, size?: number): ByteStream {
  return new ByteStream(chunks(bytes, size), 'sample')
}

/** All of a stream. */
export async function gather(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}
