import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { limits } from '../core/limits.ts'
import { pump, SourceFailure } from './pump.ts'
import { ExtractError } from './types.ts'

/** An external program, and the packages that have it. */
export interface Program {
  readonly name: string
  /** For the message that says what to install. */
  readonly packages: string
}

/** How a program ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The end of what it wrote there. */
  readonly stderr: string
}

/** A running program. It is dead, and waited for, when {@link Child.end} returns. */
export interface Child {
  readonly process: ChildProcess
  /** Throws ExtractError `TOOL` where the program could not be started. */
  readonly exit: Promise<Exit>
  /** Kills it where it still runs. */
  end(): Promise<void>
}

/**
 * Starts a program that dies with `signal`. Its environment is bare: options that a user keeps in XZ_OPT or
 * ZSTD_CLEVEL are not ours, and messages must be in English.
 */
export function start(
  program: Program,
  args: readonly string[],
  stdin: 'pipe' | 'ignore',
  signal: AbortSignal,
): Child {
  signal.throwIfAborted()
  const child = spawn(program.name, args, {
    stdio: [stdin, 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' },
  })
  const stderr = tail(child.stderr as Readable)
  const kill = (): void => {
    child.kill('SIGKILL')
    // Something that it started may hold the other ends open.
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
  signal.addEventListener('abort', kill, { once: true })
  const exit = new Promise<Exit>((resolve, reject) => {
    child.on('error', (err) => reject(startFailure(program, err)))
    child.on('close', (code, by) => resolve({ code, signal: by, stderr: stderr() }))
  }).finally(() => signal.removeEventListener('abort', kill))
  // Whoever does not ask how it ended must not be told by an unhandled rejection.
  exit.catch(() => undefined)
  return {
    process: child,
    exit,
    async end() {
      kill()
      await exit.catch(() => undefined)
    },
  }
}

/**
 * A program with a limit on its address space, to which the kernel alone can hold it, and that ends with the thread
 * that started it, also where that is killed: programs that read no pipe of ours would not notice. What a shell and
 * setpriv (of util-linux 2.34, without which the second is left out) become, so that its process id is the program's.
 */
export function confined(
  program: Program,
  args: readonly string[],
  memoryBytes: number,
): { readonly program: Program; readonly args: readonly string[] } {
  const script = `ulimit -v ${Math.floor(memoryBytes / 1024)}
    setpriv --pdeathsig KILL true 2>/dev/null && exec setpriv --pdeathsig KILL "$0" "$@"
    exec "$0" "$@"`
  return { program: SHELL, args: ['-c', script, program.name, ...args] }
}

const SHELL: Program = { name: 'sh', packages: 'dash' }

/**
 * Gives what `program` makes of `source`. The program is killed when the loop is left. Throws what the source threw;
 * ExtractError `TOOL` where the program is missing or was killed, `LIMIT` where it would need too much memory,
 * `MALFORMED` with its last words where it refused its input.
 */
export async function* filterThrough(
  program: Program,
  args: readonly string[],
  source: AsyncIterable<Uint8Array>,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const child = start(program, args, 'pipe', signal)
  try {
    const { stdin, stdout } = child.process
    if (stdin === null || stdout === null) throw new Error(`${program.name} was started without pipes`)
    yield* pump(source, stdin, stdout)
    checkExit(program, await child.exit, name)
  } catch (err) {
    signal.throwIfAborted()
    if (err instanceof SourceFailure) throw err.cause
    await child.end()
    // Throws where it never started, which is then why its pipes broke.
    await child.exit
    throw err
  } finally {
    await child.end()
  }
}

function checkExit(program: Program, exit: Exit, name: string): void {
  if (exit.code === 0) return
  const words = exit.stderr.trim().replace(/\s*\n\s*/g, '; ')
  if (exit.signal !== null) {
    throw new ExtractError('TOOL', `${name}: ${program.name} was killed by ${exit.signal}; ${words}`)
  }
  const code = /memory/i.test(words) ? 'LIMIT' : 'MALFORMED'
  throw new ExtractError(code, `${name}: ${program.name} refused it (exit code ${exit.code}): ${words}`)
}

function startFailure(program: Program, err: NodeJS.ErrnoException): ExtractError {
  const hint = err.code === 'ENOENT' ? `: install ${program.packages}` : ''
  return new ExtractError('TOOL', `${program.name} could not be started${hint}`, { cause: err })
}

/** Reads a stream to its end and keeps its last bytes. */
function tail(stream: Readable): () => string {
  let kept = Buffer.alloc(0)
  stream.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]).subarray(-limits.process.maxStderrBytes)
  })
  stream.on('error', () => undefined)
  return () => kept.toString('utf8')
}
