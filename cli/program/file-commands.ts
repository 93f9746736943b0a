import { type Command, Option } from 'commander'
import type { Invocation } from '../main.ts'
import { compatOption, dataOption, jsonOption, layoutOption } from './options.ts'

/** Adds what works on files, without a hub. */
export function addFileCommands(program: Command, invocation: () => Invocation): void {
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
      const { extractFile } = await import('../commands/extract.ts')
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
      const { minimizeFiles } = await import('../commands/minimize.ts')
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
      const { check } = await import('../commands/check.ts')
      await check(options, invocation())
    })
  program
    .command('dump <file>')
    .description('BTF as text: a vmlinux.h, or one type')
    .addOption(new Option('--format <format>', 'form of the text').choices(['c', 'raw', 'json']).default('c'))
    .option('--type <name>', 'one type, by name')
    .option('--base <file>', 'the base of a split BTF')
    .action(async (file, options) => {
      const { dump } = await import('../commands/dump.ts')
      await dump(file, options, invocation())
    })
  program
    .command('diff <a> <b>')
    .description("what changed between two kernels' layouts; exit code 1 where they differ")
    .option('--type <name>', 'one type, by name')
    .addOption(jsonOption())
    .action(async (a, b, options) => {
      const { diff } = await import('../commands/diff.ts')
      await diff(a, b, options, invocation())
    })
}
