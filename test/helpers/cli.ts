import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { packageRoot } from '../../core/version.ts'

export interface CliResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

const BIN = join(packageRoot, 'bin/btfhub')

/** Starts the built `bin/btfhub` as a user does; vitest's global set-up builds it. */
export function startCli(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [BIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs `btfhub` to its end. */
export async function runCli(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> {
  const child = startCli(args, env)
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { code, signal, stdout, stderr }
}

/** Runs `btfhub`, which must end with 0, and gives its stdout without the last newline. */
export async function btfhub(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { code, stdout, stderr } = await runCli(args, env)
  if (code !== 0) throw new Error(`btfhub ${args.join(' ')}: exit code ${code}\n${stderr}`)
  return stdout.trimEnd()
}

/** A registry on a free port of loopback, as `btfhub serve` starts it. */
export interface RunningServer {
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

/** Starts `btfhub serve --port 0` and waits until it says where it listens. */
export async function serveCli(dataDir: string, ...args: readonly string[]): Promise<RunningServer> {
  const child = startCli(['serve', '--port', '0', '--data', dataDir, ...args])
  const exited = once(child, 'close')
  let text = ''
  const url = await new Promise<string>((resolve, reject) => {
    const look = (chunk: Buffer): void => {
      text += chunk.toString()
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(text)
      if (found !== null) resolve(found[0])
    }
    child.stdout?.on('data', look)
    child.stderr?.on('data', look)
    child.on('exit', (code) => reject(new Error(`serve ended with ${code}: ${text}`)))
  })
  return {
    url,
    pid: child.pid ?? NaN,
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}
