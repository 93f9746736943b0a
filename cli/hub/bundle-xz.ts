import { spawn } from 'node:child_process'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { HubError } from '../../core/errors.ts'

export class XzError extends HubError<'TOOL'> {}

/**
 * Compresses with the `xz` program: one thread and no options from the environment, so that the bytes depend on the
 * input and the version of liblzma alone. Throws XzError where xz is missing or fails.
 */
export async function xz(bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  const env = { ...process.env }
  delete env['XZ_OPT']
  delete env['XZ_DEFAULTS']
  const args = ['--compress', '--stdout', '-9', '--threads=1', '--check=crc64']
  const child = spawn('xz', args, { env, stdio: 'pipe', signal })
  const exit = new Promise<unknown>((resolve) => {
    child.on('error', resolve)
    child.on('close', (code, killed) => resolve(code === 0 ? null : `it ended with ${code ?? killed}`))
  })
  const [out, complaints, failure] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    exit,
    // Why it stopped reading, the exit code says.
    pipeline([bytes], child.stdin).catch(() => {}),
  ])
  signal.throwIfAborted()
  if (failure === null) return out
  const cause = failure instanceof Error ? failure.message : String(failure)
  throw new XzError('TOOL', `compressing with xz failed: ${cause} ${complaints}`.trim())
}
