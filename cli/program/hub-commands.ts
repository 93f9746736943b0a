import { type Command, Option } from 'commander'
import type { Invocation } from '../main.ts'
import { addServeOptions } from '../serve/options.ts'
import type { SaidOptions } from '../serve/effective.ts'
import { addKeyCommands } from './key-commands.ts'
import { addTokenCommands } from './token-commands.ts'
import { addToolCommands } from './tool-commands.ts'
import { dataOption, jsonOption, keyOption, layoutOption } from './options.ts'
import { collect, parseCount, parseDate, parseEvery, parseRegex } from './parse.ts'

/** Adds what fills a hub and gives it out. */
export function addHubCommands(program: Command, invocation: () => Invocation): void {
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
    .option(
      '--keyring <file>',
      "OpenPGP keys that sign mirrors or packages besides the distribution's own",
      collect,
    )
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
    .option(
      '--modules',
      'take in modules too, also of kernels that are there: split BTF of each, and all in one',
      false,
    )
    .option('--unverified', 'end each download as soon as the BTF is whole, its digest unchecked', false)
    .option('--retry-failed', 'try again what failed or was not there before, whether due or not', false)
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (sources, options) => {
      const { crawl } = await import('../commands/crawl.ts')
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
    .option('--no-modules', 'leave out the modules of exports')
    .addOption(keyOption())
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (paths, options) => {
      const { importBtf } = await import('../commands/import.ts')
      await importBtf(paths, options, invocation())
    })

  addToolCommands(program, invocation)

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
    .option('--no-modules', 'leave out the modules of builds')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (dir, options) => {
      const { exportHub } = await import('../commands/export.ts')
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
      const { bundle } = await import('../commands/bundle.ts')
      await bundle(tool, options, invocation())
    })

  addServeOptions(program.command('serve').description('the registry: BTF and min BTF over HTTP')).action(
    async (options) => {
      const { serve } = await import('../commands/serve.ts')
      await serve(options as SaidOptions, invocation())
    },
  )
}
