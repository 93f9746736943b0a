import { spawn } from 'node:child_process'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { StoreError } from '../types.ts'

/** The largest BTF takes some 15 s on a slow core. */
const TIMEOUT_MS = 5 * 60_000

/**
 * Compresses with the `xz` program. The bytes depend on the input and the version of liblzma alone: one thread, because
 * threads cut the stream into blocks, and no options from the environment. Throws `TOOL` where xz is missing or fails, and the signal's
 * reason.
 */
export async function xz(
  bytes: Uint8Array,
  options: { readonly level?: 6 | 9; readonly signal?: AbortSignal } = {},
): Promise<Uint8Array> {
  const env = { ...process.env }
  delete env['XZ_OPT']
  delete env['XZ_DEFAULTS']
  const child = spawn(
    'xz',
    ['--compress', '--stdout', `-${options.level ?? 6}`, '--threads=1', '--check=crc64'],
    {
      env,
      stdio: 'pipe',
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
      ...(options.signal !== undefined && { signal: options.signal }),
    },
  )
  const exit = new Promise<string | null>((resolve) => {
    child.on('error', (err) => resolve(err.message))
    child.on('close', (code, signal) => resolve(code === 0 ? null : `it ended with ${code ?? signal}`))
  })
  const [out, complaints, fed, failure] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    pipeline([bytes], child.stdin).then(
      () => true,
      () => false,
    ),
    exit,
  ])
  options.signal?.throwIfAborted()
  if (failure === null && fed) return out
  throw new StoreError(
    'TOOL',
    `compressing with xz failed: ${failure ?? 'it stopped reading'} ${complaints}`.trim(),
  )
}
