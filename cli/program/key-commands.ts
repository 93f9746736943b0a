import type { Command } from 'commander'
import type { Invocation } from '../main.ts'
import { dataOption } from './options.ts'

/** Adds `key` and what it does. */
export function addKeyCommands(program: Command, invocation: () => Invocation): void {
  const key = program.command('key').description('the keys that sign what this hub exports')
  key
    .command('generate')
    .description('make one more key, and print its public part')
    .addOption(dataOption())
    .action(async (options) => {
      const { keyGenerate } = await import('../commands/key.ts')
      await keyGenerate(options, invocation())
    })
  key
    .command('show')
    .description('the public parts, for `--key` of get, import and verify')
    .addOption(dataOption())
    .action(async (options) => {
      const { keyShow } = await import('../commands/key.ts')
      await keyShow(options, invocation())
    })
  key
    .command('rm <key>')
    .description('sign with this key no more')
    .addOption(dataOption())
    .action(async (text, options) => {
      const { keyRemove } = await import('../commands/key.ts')
      await keyRemove(text, options, invocation())
    })
}
