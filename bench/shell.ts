import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Runs a shell pipeline as a person would write it; any part that fails fails it. Throws with its stderr. */
export async function shell(script: string, cwd: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd,
    env: { ...process.env, ...env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${script}\nended with ${code}: ${stderr.slice(-2000)}`)
  return stdout
}
