import type { Command } from 'commander'
import type { Invocation } from '../main.ts'
import { dataOption, jsonOption } from './options.ts'

/** Adds `token` and what it does. */
export function addTokenCommands(program: Command, invocation: () => Invocation): void {
  const token = program.command('token').description('who may add tools over HTTP')
  token
    .command('add <name>')
    .description('make a token, and print its secret: now and never again')
    .requiredOption('--scope <scope...>', 'what it is for: `tools`, or `tool:NAME` each')
    .addOption(dataOption())
    .action(async (name, options) => {
      const { tokenAdd } = await import('../commands/token.ts')
      await tokenAdd(name, options, invocation())
    })
  token
    .command('list')
    .description('the tokens that there are')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options) => {
      const { tokenList } = await import('../commands/token.ts')
      await tokenList(options, invocation())
    })
  token
    .command('rotate <name>')
    .description('make and print another secret; the old one is worth nothing from then on')
    .addOption(dataOption())
    .action(async (name, options) => {
      const { tokenRotate } = await import('../commands/token.ts')
      await tokenRotate(name, options, invocation())
    })
  token
    .command('rm <name>')
    .description('let nobody in with it any more')
    .addOption(dataOption())
    .action(async (name, options) => {
      const { tokenRemove } = await import('../commands/token.ts')
      await tokenRemove(name, options, invocation())
    })
}
