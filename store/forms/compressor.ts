import { spawn } from 'node:child_process'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { StoreError } from '../types.ts'

/** The largest BTF takes some 15 s on a slow core. */
const TIMEOUT_MS = 5 * 60_000

/** A program that compresses its stdin to its stdout. */
export interface Compressor {
  readonly program: string
  readonly args: readonly string[]
  /** Variables by which it would take options from the environment. */
  readonly ignores: readonly string[]
}

/** Compresses with a program. Throws `TOOL` where it is missing or fails, and the signal's reason. */
export async function compressWith(
  { program, args, ignores }: Compressor,
  bytes: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !ignores.includes(name)))
  const child = spawn(program, args, {
    env,
    stdio: 'pipe',
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    ...(signal !== undefined && { signal }),
  })
  const exit = new Promise<string | null>((resolve) => {
    child.on('error', (err) => resolve(err.message))
    child.on('close', (code, killed) => resolve(code === 0 ? null : `it ended with ${code ?? killed}`))
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
  signal?.throwIfAborted()
  if (failure === null && fed) return out
  throw new StoreError(
    'TOOL',
    `compressing with ${program} failed: ${failure ?? 'it stopped reading'} ${complaints}`.trim(),
  )
}
