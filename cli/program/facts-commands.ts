import type { Command } from 'commander'
import type { Invocation } from '../main.ts'
import { dataOption, jsonOption, keyOption } from './options.ts'

/** Adds what tells of a hub, and audits it. */
export function addFactsCommands(program: Command, invocation: () => Invocation): void {
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
      const { list } = await import('../commands/list.ts')
      await list(options, invocation())
    })
  program
    .command('show <release>')
    .description('all that the hub knows of a kernel: RELEASE or DISTRO/VERSION/ARCH/RELEASE')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (release, options) => {
      const { show } = await import('../commands/list.ts')
      await show(release, options, invocation())
    })
  program
    .command('failures')
    .description('the packages that gave no BTF, why, and when they are tried again')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { failures } = await import('../commands/list.ts')
      await failures(options, invocation())
    })
  program
    .command('coverage')
    .description('what distributions offer against what the hub has, as of the last crawl')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { coverage } = await import('../commands/coverage.ts')
      await coverage(options, invocation())
    })
  program
    .command('verify [dir]')
    .description('audit every blob and every row that points at one; or every file of an export')
    .addOption(keyOption())
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (dir, options) => {
      const { verify } = await import('../commands/verify.ts')
      await verify(dir, options, invocation())
    })
  program
    .command('gc')
    .description('drop blobs that nothing points at')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { gc } = await import('../commands/verify.ts')
      await gc(options, invocation())
    })
  program
    .command('doctor')
    .description('what this machine has and lacks')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { doctor } = await import('../commands/doctor.ts')
      await doctor(options, invocation())
    })
}
