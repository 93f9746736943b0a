import { setMaxListeners } from 'node:events'
import { Command, CommanderError, Option } from 'commander'
import { hubVersion } from '../core/version.ts'
import type { LogLevel } from '../core/log.ts'
import { exitCodeOf, ExitCode, explain } from './exit.ts'
import { addClientCommands } from './program/client-commands.ts'
import { addFactsCommands } from './program/facts-commands.ts'
import { addFileCommands } from './program/file-commands.ts'
import { addHubCommands } from './program/hub-commands.ts'
import { processTerminal, type Terminal } from './terminal.ts'

/** What every command gets besides its own options. */
export interface Invocation {
  readonly terminal: Terminal
  readonly env: NodeJS.ProcessEnv
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  readonly logLevel: LogLevel
}

/** Runs one command line and sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const controller = new AbortController()
  // A crawl has many requests under way at a time, and each listens.
  setMaxListeners(0, controller.signal)
  const interrupt = (name: NodeJS.Signals): void => {
    // The second one does not wait for anything.
    if (controller.signal.aborted) process.exit(ExitCode.interrupted)
    controller.abort(new DOMException(`stopped by ${name}`, 'AbortError'))
  }
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  // `btfhub list | head` closes the pipe early: that is no error.
  process.stdout.on('error', (err: NodeJS.ErrnoException) => {
    if (err.code === 'EPIPE') process.exit(ExitCode.done)
    throw err
  })
  process.exitCode = await run(argv, processTerminal, process.env, controller.signal)
}

/** Runs one command line and gives the exit code; nothing but `terminal` is written to. */
export async function run(
  argv: readonly string[],
  terminal: Terminal,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<ExitCode> {
  const program = createProgram({ terminal, env, signal })
  try {
    await program.parseAsync([...argv])
    return ExitCode.done
  } catch (err) {
    if (err instanceof CommanderError) return err.exitCode === 0 ? ExitCode.done : ExitCode.usage
    const text = explain(err)
    if (text !== '') terminal.err(`btfhub: ${text}`)
    return exitCodeOf(err)
  }
}

type Base = Omit<Invocation, 'logLevel'>

function createProgram(base: Base): Command {
  const program = new Command('btfhub')
  program
    .description('Kernel BTF by release: crawled, extracted, minimized and served for CO-RE eBPF programs.')
    .version(hubVersion)
    .addOption(
      new Option('--log-level <level>', 'what is logged on stderr, as JSON lines')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('warn')
        .env('BTFHUB_LOG_LEVEL'),
    )
    // Else the program would take the `--version` of a command for its own.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => base.terminal.out(text.replace(/\n$/, '')),
      writeErr: (text) => base.terminal.err(text.replace(/\n$/, '')),
    })
    .showHelpAfterError('(add --help for what there is)')
  const invocation = (): Invocation => ({
    ...base,
    logLevel: program.opts<{ logLevel: LogLevel }>().logLevel,
  })
  addClientCommands(program, invocation)
  addHubCommands(program, invocation)
  addFactsCommands(program, invocation)
  addFileCommands(program, invocation)
  for (const command of program.commands) command.copyInheritedSettings(program)
  return program
}
