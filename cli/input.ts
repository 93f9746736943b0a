import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { type Btf, loadBtf } from '../btf/index.ts'
import type { Http } from '../core/http.ts'
import { limits } from '../core/limits.ts'
import { createLog, type Log } from '../core/log.ts'
import { extract, type Extracted, ExtractError, type ExtractOptions } from '../extractor/index.ts'
import { UsageError } from './exit.ts'
import type { Invocation } from './main.ts'

/** What of an extraction a command may want to be different. */
export type ReadOptions = Partial<
  Pick<
    ExtractOptions,
    'release' | 'expected' | 'forceDwarf' | 'readToEnd' | 'onProgress' | 'tempDir' | 'localPath' | 'jobs'
  >
>

const defaults = { release: null, forceDwarf: false, readToEnd: true, tempDir: tmpdir(), jobs: 1 }

/** Takes the BTF out of a path or URL, whatever kind of file it is. Throws `ExtractError`, `HttpError` or ENOENT. */
export async function extractFrom(
  pathOrUrl: string,
  options: ReadOptions,
  io: { readonly http: Http; readonly log: Log; readonly signal: AbortSignal },
): Promise<Extracted> {
  return await extract(
    { name: pathOrUrl, bytes: await openInput(pathOrUrl, io.http, io.signal) },
    { ...defaults, localPath: localPathOf(pathOrUrl), ...options, signal: io.signal, log: io.log },
  )
}

/** The same of bytes that are in memory, or on their way; `name` is for messages. */
export async function extractBytes(
  name: string,
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
  options: ReadOptions,
  io: { readonly log: Log; readonly signal: AbortSignal },
): Promise<Extracted> {
  const whole = async function* (one: Uint8Array): AsyncGenerator<Uint8Array> {
    yield one
  }
  const stream = bytes instanceof Uint8Array ? whole(bytes) : bytes
  return extract({ name, bytes: stream }, { ...defaults, ...options, ...io })
}

/**
 * The bytes of a path or URL, or of standard input for `-`, as they come. Throws ExtractError `NOT_FOUND`
 * for a URL that is not there, UsageError for a folder, or ENOENT and its like.
 */
export async function openInput(
  pathOrUrl: string,
  http: Http,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  return isUrl(pathOrUrl) ? openUrl(pathOrUrl, http, signal) : openFile(pathOrUrl, signal)
}

async function openUrl(url: string, http: Http, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const stream = await http.stream(url, { signal, maxBytes: limits.package.maxBytes })
  if (stream === null) throw new ExtractError('NOT_FOUND', `${url}: not there (404)`)
  return stream.bytes
}

async function openFile(path: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  if (path === '-') return process.stdin.compose((bytes) => bytes, { signal }) as AsyncIterable<Uint8Array>
  if ((await stat(path)).isDirectory()) throw new UsageError(`${path}: a folder, expected a file`)
  return createReadStream(path, { highWaterMark: 1 << 20, signal })
}

/** What is a path of this machine; null for a URL and for standard input. */
export function localPathOf(pathOrUrl: string): string | null {
  return pathOrUrl === '-' || isUrl(pathOrUrl) ? null : pathOrUrl
}

export function isUrl(text: string): boolean {
  return /^(https?|file):/i.test(text)
}

/** The BTF of a path or URL, parsed: what `dump`, `diff` and `minimize` work on. A module's needs its `base`. */
export async function readBtf(pathOrUrl: string, invocation: Invocation, base?: Btf): Promise<Btf> {
  const { signal } = invocation
  const log = createLog(invocation.logLevel)
  // A file needs no client, and loading one takes longer than reading most kernels.
  const http = isUrl(pathOrUrl) ? (await import('./http.ts')).cliHttp(invocation.env, log) : null
  try {
    const bytes = await (http === null ? openFile(pathOrUrl, signal) : openUrl(pathOrUrl, http, signal))
    if (base !== undefined) return loadBtf(await readAll(bytes), { base })
    const options = { readToEnd: false, localPath: localPathOf(pathOrUrl) }
    const { btf } = await extractBytes(pathOrUrl, bytes, options, { log, signal })
    return loadBtf(btf)
  } finally {
    await http?.close()
  }
}

export async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}
