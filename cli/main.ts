import { setMaxListeners } from 'node:events'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { hubVersion } from '../core/version.ts'
import type { LogLevel } from '../core/log.ts'
import { exitCodeOf, ExitCode, explain } from './exit.ts'
import type { SaidOptions } from './serve/effective.ts'
import { addServeOptions } from './serve/options.ts'
import { parseDuration } from './hub/schedule.ts'
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
  addFileCommands(program, invocation)
  for (const command of program.commands) command.copyInheritedSettings(program)
  return program
}

const dataOption = (): Option =>
  new Option('--data <dir>', 'where the hub keeps its state').env('BTFHUB_DATA').default('data/hub')
const layoutOption = (): Option =>
  new Option('--layout <layout>', 'one bundle, as these programs look min BTF up').choices([
    'tree',
    'bcc',
    'gadget',
    'datadog',
    'flat',
    'compact',
  ])
const keyOption = (): Option =>
  new Option('--key <key>', 'public key of a hub: only what its signed index says is believed')
    .env('BTFHUB_KEY')
    .argParser(collectWords)
const compatOption = (): Option =>
  new Option('--compat <level>', 'lower it for a reader of old, by its libbpf: docs/compat.md').choices([
    'native',
    '1.0',
    '0.6',
    '0.4',
    '0.3',
  ])
const jsonOption = (): Option => new Option('--json', 'print facts as JSON').default(false)

function addClientCommands(program: Command, invocation: () => Invocation): void {
  program
    .command('get [release]')
    .description("the path of a verified BTF for a kernel, this host's by default")
    .addOption(
      new Option('--hub <url>', 'a hub to ask; several are asked in order')
        .env('BTFHUB_URL')
        .argParser(collectWords),
    )
    .option('--tool <name[@version]>', 'min BTF for a tool that the hub knows')
    .option('--object <file...>', 'min BTF for these BPF objects, cut on this machine')
    .addOption(
      new Option('--variant <variant>', 'the kernel alone, or with all its modules in one id space').choices([
        'full',
        'merged',
      ]),
    )
    .option('--module <name>', "split BTF of one module; --json tells its base's path too")
    .addOption(compatOption())
    .option('--arch <arch>', 'architecture of the kernel')
    .option('--distro <id>', 'os-release ID')
    .option('--version <id>', 'os-release VERSION_ID')
    .option('--build-id <hex>', 'GNU build-id of the kernel')
    .option('--banner <text>', 'the text of /proc/version')
    .option('-o, --output <file>', 'write it there instead of into the cache')
    .addOption(
      new Option('--format <format>', 'what to write')
        .choices(['raw', 'elf', 'gz', 'xz', 'tar.xz'])
        .default('raw'),
    )
    .option('--install', 'write it where libbpf and cilium/ebpf look by themselves', false)
    .option('--env', 'print environment variables of known agents instead of the path', false)
    .option('--like', 'also take the BTF of what this distribution is a clone of', false)
    .option('--predict', 'with --tool, for a kernel that no hub has: a guess from its neighbours', false)
    .option('--force', "ask the hub even where this host's kernel has BTF", false)
    .addOption(keyOption())
    .addOption(new Option('--cache <dir>', 'where verified BTF is kept').env('BTFHUB_CACHE'))
    .option(
      '--timeout <seconds>',
      'give up after so long (600), waiting for a hub that is still fetching it included',
      parseCount,
    )
    .addOption(jsonOption())
    .action(async (release, options) => {
      const { get } = await import('./commands/get.ts')
      await get(release, options, invocation())
    })
}

function addHubCommands(program: Command, invocation: () => Invocation): void {
  program
    .command('crawl [source...]')
    .description('find kernels that distributions offer, and take in the BTF of those that are new')
    .option('--plan', 'show what would be done and its cost, and do nothing', false)
    .option('--version <id>', "a version of the distribution, `12`; all of the source's by default", collect)
    .option('--arch <arch>', 'an architecture; all of the source by default', collect)
    .option('--release <regex>', 'only kernels whose release matches', parseRegex)
    .option('--newest <n>', 'only the newest builds per series and flavour', parseCount)
    .option('--limit <n>', 'at most so many new builds in this run', parseCount)
    .option('--since <date>', 'only builds of that day or later, where their index states it', parseDate)
    .option('--every <time>', 'again and again: `24h`, with some jitter, until it is stopped', parseEvery)
    .option('--jobs <n>', 'packages at a time', parseCount)
    .option('--mirror <url>', "a base URL that replaces the source's own mirrors", collect)
    .option('--keyring <file>', "OpenPGP keys that sign mirrors besides the distribution's own", collect)
    .addOption(
      new Option('--client-cert <file>', 'PEM shown to archives that want one, as the CDN of RHEL').env(
        'BTFHUB_CLIENT_CERT',
      ),
    )
    .addOption(new Option('--client-key <file>', 'its key').env('BTFHUB_CLIENT_KEY'))
    .addOption(
      new Option('--client-ca <file>', 'the authority of such archives, where the machine has it not').env(
        'BTFHUB_CLIENT_CA',
      ),
    )
    .option('--force-dwarf', 'encode DWARF with pahole even where the kernel carries BTF', false)
    .option('--modules', 'take in split BTF of every module too, and all in one (merged)', false)
    .option('--unverified', 'end each download as soon as the BTF is whole, its digest unchecked', false)
    .option('--retry-failed', 'try again what failed or was not there before, whether due or not', false)
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (sources, options) => {
      const { crawl } = await import('./commands/crawl.ts')
      await crawl(sources, options, invocation())
    })

  program
    .command('import <path...>')
    .description(
      'take in BTF: a file with --as, folders in the layout of btfhub, or exports of hubs, also by URL',
    )
    .option('--as <kernel>', 'DISTRO/VERSION/ARCH/RELEASE of a single file')
    .option('--build-id <hex>', 'its GNU build-id, with --as')
    .option('--banner <text>', 'its text of /proc/version, with --as')
    .addOption(keyOption())
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (paths, options) => {
      const { importBtf } = await import('./commands/import.ts')
      await importBtf(paths, options, invocation())
    })

  const tool = program.command('tool').description('the tools that min BTF is kept ready for')
  tool
    .command('add <name[@version]> <object...>')
    .description('register BPF objects (.bpf.o) and make their min BTF for every kernel')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (name, objects, options) => {
      const { toolAdd } = await import('./commands/tool.ts')
      await toolAdd(name, objects, options, invocation())
    })
  tool
    .command('push <name@version> <object...>')
    .description('register BPF objects at a hub over HTTP, with a token')
    .addOption(new Option('--hub <url>', 'the hub').env('BTFHUB_URL').argParser(collectWords))
    .option('--token-file <file>', 'file with the token; else BTFHUB_TOKEN in the environment')
    .addOption(jsonOption())
    .action(async (name, objects, options) => {
      const { toolPush } = await import('./commands/tool.ts')
      await toolPush(name, objects, options, invocation())
    })
  tool
    .command('list')
    .description('the tools that are registered')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { toolList } = await import('./commands/tool.ts')
      await toolList(options, invocation())
    })
  tool
    .command('rm <name[@version]>')
    .description('forget a tool, or one version of it')
    .addOption(dataOption())
    .action(async (name, options) => {
      const { toolRemove } = await import('./commands/tool.ts')
      await toolRemove(name, options, invocation())
    })

  program
    .command('export <dir>')
    .description('the hub as a tree of files that any web server can serve, with a signed index')
    .addOption(
      new Option('--form <form...>', 'forms of each full BTF besides the raw one')
        .choices(['gz', 'xz', 'tar.xz', 'elf'])
        .default(['gz', 'xz', 'tar.xz', 'elf']),
    )
    .option('--expires <days>', 'days that the index is to be believed', parseCount, 30)
    .addOption(
      new Option('--public-url <url>', 'where the tree will be served, for get.sh').env('BTFHUB_PUBLIC_URL'),
    )
    .option('--copy', 'files of their own instead of hard links to those of the hub', false)
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (dir, options) => {
      const { exportHub } = await import('./commands/export.ts')
      await exportHub(dir, options, invocation())
    })
  addKeyCommands(program, invocation)
  addTokenCommands(program, invocation)

  program
    .command('bundle <tool[@version]>')
    .description('all min BTF of a tool in one file, to be embedded in a program')
    .addOption(layoutOption().makeOptionMandatory())
    .requiredOption('-o, --output <path>', 'the file; a folder or a .tar[.gz|.xz] for tree and flat')
    .option('--arch <arch>', 'only kernels of this architecture')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (tool, options) => {
      const { bundle } = await import('./commands/bundle.ts')
      await bundle(tool, options, invocation())
    })

  addServeOptions(program.command('serve').description('the registry: BTF and min BTF over HTTP')).action(
    async (options) => {
      const { serve } = await import('./commands/serve.ts')
      await serve(options as SaidOptions, invocation())
    },
  )

  program
    .command('list')
    .description('the kernels that the hub has')
    .option('--distro <id>', 'os-release ID')
    .option('--version <id>', 'os-release VERSION_ID')
    .option('--arch <arch>', 'architecture')
    .option('--origin <origin>', 'embedded, dwarf or imported')
    .option('-q, --query <text>', 'a part of the release')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { list } = await import('./commands/list.ts')
      await list(options, invocation())
    })
  program
    .command('show <release>')
    .description('all that the hub knows of a kernel: RELEASE or DISTRO/VERSION/ARCH/RELEASE')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (release, options) => {
      const { show } = await import('./commands/list.ts')
      await show(release, options, invocation())
    })
  program
    .command('failures')
    .description('the packages that gave no BTF, why, and when they are tried again')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { failures } = await import('./commands/list.ts')
      await failures(options, invocation())
    })
  program
    .command('coverage')
    .description('what distributions offer against what the hub has, as of the last crawl')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { coverage } = await import('./commands/coverage.ts')
      await coverage(options, invocation())
    })
  program
    .command('verify [dir]')
    .description('audit every blob and every row that points at one; or every file of an export')
    .addOption(keyOption())
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (dir, options) => {
      const { verify } = await import('./commands/verify.ts')
      await verify(dir, options, invocation())
    })
  program
    .command('gc')
    .description('drop blobs that nothing points at')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { gc } = await import('./commands/verify.ts')
      await gc(options, invocation())
    })
  program
    .command('doctor')
    .description('what this machine has and lacks')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { doctor } = await import('./commands/doctor.ts')
      await doctor(options, invocation())
    })
}

function addTokenCommands(program: Command, invocation: () => Invocation): void {
  const token = program.command('token').description('who may add tools over HTTP')
  token
    .command('add <name>')
    .description('make a token, and print its secret: now and never again')
    .requiredOption('--scope <scope...>', 'what it is for: `tools`, or `tool:NAME` each')
    .addOption(dataOption())
    .action(async (name, options) => {
      const { tokenAdd } = await import('./commands/token.ts')
      await tokenAdd(name, options, invocation())
    })
  token
    .command('list')
    .description('the tokens that there are')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { tokenList } = await import('./commands/token.ts')
      await tokenList(options, invocation())
    })
  token
    .command('rotate <name>')
    .description('make and print another secret; the old one is worth nothing from then on')
    .addOption(dataOption())
    .action(async (name, options) => {
      const { tokenRotate } = await import('./commands/token.ts')
      await tokenRotate(name, options, invocation())
    })
  token
    .command('rm <name>')
    .description('let nobody in with it any more')
    .addOption(dataOption())
    .action(async (name, options) => {
      const { tokenRemove } = await import('./commands/token.ts')
      await tokenRemove(name, options, invocation())
    })
}

function addKeyCommands(program: Command, invocation: () => Invocation): void {
  const key = program.command('key').description('the keys that sign what this hub exports')
  key
    .command('generate')
    .description('make one more key, and print its public part')
    .addOption(dataOption())
    .action(async (options) => {
      const { keyGenerate } = await import('./commands/key.ts')
      await keyGenerate(options, invocation())
    })
  key
    .command('show')
    .description('the public parts, for `--key` of get, import and verify')
    .addOption(dataOption())
    .action(async (options) => {
      const { keyShow } = await import('./commands/key.ts')
      await keyShow(options, invocation())
    })
  key
    .command('rm <key>')
    .description('sign with this key no more')
    .addOption(dataOption())
    .action(async (text, options) => {
      const { keyRemove } = await import('./commands/key.ts')
      await keyRemove(text, options, invocation())
    })
}

function addFileCommands(program: Command, invocation: () => Invocation): void {
  program
    .command('extract <file>')
    .description(
      'the BTF of a package, vmlinux, vmlinuz or BTF file, by path or URL, or - for standard input',
    )
    .option('-o, --output <file>', 'write the raw BTF there; without it only its provenance is told')
    .option('--modules <dir>', "write the kernel's BTF and its modules' there, as /sys/kernel/btf has them")
    .option('--merged <file>', 'write the kernel and its modules there, in one id space')
    .option('--base <file>', "the kernel's BTF, where the package has only modules")
    .addOption(compatOption())
    .option('--release <release>', 'the kernel that is wanted, where a package has several')
    .option('--force-dwarf', 'encode DWARF with pahole even where there is BTF', false)
    .option('--unverified', 'end the reading as soon as the BTF is whole; its sha256 is then unknown', false)
    .addOption(jsonOption())
    .action(async (file, options) => {
      const { extractFile } = await import('./commands/extract.ts')
      await extractFile(file, options, invocation())
    })
  program
    .command('minimize')
    .description('cut BTF down to what BPF objects need, without a hub')
    .requiredOption('--btf <file...>', 'kernel BTF: raw, ELF, or compressed')
    .requiredOption('--object <file...>', 'BPF objects of one tool')
    .requiredOption('-o, --output <path>', 'a file for one BTF; a folder for several, or where it ends in /')
    .addOption(layoutOption())
    .addOption(
      new Option('--engine <engine>', 'who cuts: btfhub, or the reference where it is installed')
        .choices(['btfhub', 'bpftool'])
        .default('btfhub'),
    )
    .option('--compare', 'print what btfhub (+) and bpftool (-) keep that the other does not', false)
    .addOption(jsonOption())
    .action(async (options) => {
      const { minimizeFiles } = await import('./commands/minimize.ts')
      await minimizeFiles(options, invocation())
    })
  program
    .command('check')
    .description('on which kernels each relocation of BPF objects resolves, is guarded by a check, or fails')
    .requiredOption('--object <file...>', 'BPF objects')
    .option('--btf <path...>', 'kernel BTF: files, or folders in the layout of btfhub')
    .option('--all', 'all kernels of the hub; the default without --btf', false)
    .option('--arch <arch>', 'only kernels of this architecture, where the objects are for one')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { check } = await import('./commands/check.ts')
      await check(options, invocation())
    })
  program
    .command('dump <file>')
    .description('BTF as text: a vmlinux.h, or one type')
    .addOption(new Option('--format <format>', 'form of the text').choices(['c', 'raw', 'json']).default('c'))
    .option('--type <name>', 'one type, by name')
    .option('--base <file>', 'the base of a split BTF')
    .action(async (file, options) => {
      const { dump } = await import('./commands/dump.ts')
      await dump(file, options, invocation())
    })
  program
    .command('diff <a> <b>')
    .description("what changed between two kernels' layouts; exit code 1 where they differ")
    .option('--type <name>', 'one type, by name')
    .addOption(jsonOption())
    .action(async (a, b, options) => {
      const { diff } = await import('./commands/diff.ts')
      await diff(a, b, options, invocation())
    })
}

function parseDate(text: string): Date {
  const date = new Date(text)
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(date.getTime()))
    throw new InvalidArgumentError('Expected a date like 2026-11-21.')
  return date
}

function parseEvery(text: string): number {
  const ms = parseDuration(text)
  if (ms === null) throw new InvalidArgumentError('Expected a time like 90m, 24h or 7d, of at most 20 days.')
  return ms
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1)
    throw new InvalidArgumentError('Expected a whole number above 0.')
  return count
}

/** For options that can be given again and again. */
function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

function collectWords(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...text.split(/\s+/).filter((word) => word !== '')]
}

function parseRegex(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (err) {
    throw new InvalidArgumentError(`Not a regular expression: ${(err as Error).message}`)
  }
}
