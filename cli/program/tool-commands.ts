import { type Command, Option } from 'commander'
import type { Invocation } from '../main.ts'
import { dataOption, jsonOption } from './options.ts'
import { collectWords } from './parse.ts'

/** Adds `tool` and what it does. */
export function addToolCommands(program: Command, invocation: () => Invocation): void {
  const tool = program.command('tool').description('the tools that min BTF is kept ready for')
  tool
    .command('add <name[@version]> <object...>')
    .description('register BPF objects (.bpf.o) and make their min BTF for every kernel')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (name, objects, options) => {
      const { toolAdd } = await import('../commands/tool.ts')
      await toolAdd(name, objects, options, invocation())
    })
  tool
    .command('push <name@version> <object...>')
    .description('register BPF objects at a hub over HTTP, with a token')
    .addOption(new Option('--hub <url>', 'the hub').env('BTFHUB_URL').argParser(collectWords))
    .option('--token-file <file>', 'file with the token; else BTFHUB_TOKEN in the environment')
    .addOption(jsonOption())
    .action(async (name, objects, options) => {
      const { toolPush } = await import('../commands/tool.ts')
      await toolPush(name, objects, options, invocation())
    })
  tool
    .command('list')
    .description('the tools that are registered')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { toolList } = await import('../commands/tool.ts')
      await toolList(options, invocation())
    })
  tool
    .command('rm <name[@version]>')
    .description('forget a tool, or one version of it')
    .addOption(dataOption())
    .action(async (name, options) => {
      const { toolRemove } = await import('../commands/tool.ts')
      await toolRemove(name, options, invocation())
    })
}
