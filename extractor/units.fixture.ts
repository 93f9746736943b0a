import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './run.fixture.ts'

const COMPILE = ['-O1', '-fno-pie', '-ffreestanding']
const LINK = ['-static', '--build-id=sha1', '-e', '_start']

const KABI_MACROS = `
  #define PASTE_(a, b) a##b
  #define PASTE(a, b) PASTE_(a, b)
  #define __UNIQUE_ID(prefix) PASTE(PASTE(__UNIQUE_ID_, prefix), __COUNTER__)
  #define RH_KABI_REPLACE(_orig, _new) union { _new; struct { _orig; } __UNIQUE_ID(rh_kabi_hide); union {}; };
`

/** What makes dwz's DWARF hard for pahole in kernels: functions of assembler, and the note that says "no LTO". */
const ASSEMBLER = `
  .text
  .globl entry_one
  .type entry_one, @function
entry_one: ret
  .size entry_one, . - entry_one
  .globl entry_two
  .type entry_two, @function
entry_two: ret
  .size entry_two, . - entry_two
  .section .note.Linux, "a", @note
  .long 6, 4, 0x101
  .asciz "Linux"
  .balign 4
  .long 0
  .section .note.GNU-stack, ""
`

/**
 * The sample whose source is in `dir` in units as kernels have thousands, assembler's first and then C's: dwz has nothing to
 * share in one, nor macros to differ. `kabi` puts a member into `cred` as RHEL's macros do, under a name that has the
 * preprocessor's counter at its end. The path of the ELF file `name`, without BTF.
 */
export async function makeUnits(
  dir: string,
  name: string,
  flags: readonly string[],
  kabi = false,
): Promise<string> {
  const source = (await readFile(join(dir, 'kernel.c'), 'utf8')).replace(
    'unsigned uid, gid;',
    kabi ? 'unsigned uid, gid; RH_KABI_REPLACE(int old_jit, long jit)' : '$&',
  )
  const [types, data] = cut(source, 'const char linux_proc_banner')
  const second = data
    .replace(/const char (\w+)\[\]/g, 'static const char $1[]')
    .replace('struct everything everything;', 'extern struct everything everything;')
    .replace('start_kernel', 'other_kernel')
    .replace(/void _start.*/, '')
  const own = 'struct { struct cred cred; struct file *file; int own; } own[3];'
  const include = `${kabi ? KABI_MACROS : ''}\n#include "${name}.h"\n`
  await writeFile(join(dir, `${name}.h`), types)
  await writeFile(join(dir, `${name}-1.c`), `${include}${own}${data}`)
  await writeFile(join(dir, `${name}-2.c`), `int counted = __COUNTER__;${include}${second}`)
  await writeFile(join(dir, `${name}-0.S`), ASSEMBLER)
  return link(dir, name, [`${name}-0.S`, `${name}-1.c`, `${name}-2.c`], flags)
}

/** Another program, of which some types are those of the units `name`, as dwz finds in what a package has besides. */
export async function makeRelative(dir: string, name: string, flags: readonly string[]): Promise<string> {
  const text = `#include "${name}.h"
    struct own { struct everything all; struct cred cred; } own;
    void _start(void) { own.cred.uid = 1; }`
  await writeFile(join(dir, `${name}-relative.c`), text)
  return link(dir, `${name}-relative`, [`${name}-relative.c`], flags)
}

/** Lets dwz move what the files have in common to the file `common`, to which they then lead by the path `link`. */
export function shareDwarf(
  files: readonly string[],
  common: string,
  link = '../../../.dwz/common',
  args: readonly string[] = [],
): void {
  run('dwz', [...args, '-m', common, '-M', link, ...files])
}

function link(dir: string, name: string, sources: readonly string[], flags: readonly string[]): string {
  const objects = sources.map((source) => {
    const object = source.replace(/\.\w$/, '.o')
    run('gcc', ['-g', ...COMPILE, ...flags, '-c', source, '-o', object], undefined, dir)
    return object
  })
  run('ld', [...LINK, '-o', name, ...objects], undefined, dir)
  return join(dir, name)
}

function cut(text: string, before: string): [string, string] {
  const at = text.indexOf(before)
  if (at < 0) throw new Error(`the sample's source has no ${before}`)
  return [text.slice(0, at), text.slice(at)]
}
