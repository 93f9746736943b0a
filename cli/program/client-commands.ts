import { type Command, Option } from 'commander'
import type { Invocation } from '../main.ts'
import { compatOption, jsonOption, keyOption } from './options.ts'
import { collectWords, parseCount } from './parse.ts'

/** Adds what asks a hub over HTTP. */
export function addClientCommands(program: Command, invocation: () => Invocation): void {
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
      const { get } = await import('../commands/get.ts')
      await get(release, options, invocation())
    })
}
