import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SampleKernel } from './kernel.fixture.ts'
import { run } from './run.fixture.ts'

/** A kernel module as gcc and pahole make it, with a struct `NAME_state` that only it has. */
export interface SampleModule {
  readonly name: string
  /** With DWARF, without BTF. */
  readonly dwarf: Buffer
  /** Stripped of DWARF, with split BTF on the kernel's, as distributions ship it. */
  readonly ko: Buffer
  /** That BTF alone. */
  readonly btf: Buffer
}

/** Makes a module for a sample kernel, in a folder that exists. */
export async function makeModule(dir: string, kernel: SampleKernel, name: string): Promise<SampleModule> {
  const at = (ending: string): string => join(dir, `${name}${ending}`)
  await writeFile(at('.base'), kernel.btf)
  await writeFile(
    at('.c'),
    `
    struct list_head { struct list_head *next, *prev; };
    struct shared_by_modules { struct list_head list; int count; };
    struct ${name}_state { struct list_head list; struct shared_by_modules *shared; int ${name}_value; };
    struct ${name}_state ${name}_first;
    __attribute__((section(".modinfo"), used)) const char info[] = "name=${name}\\0vermagic=${kernel.release} SMP mod_unload ";
    int ${name}_init(struct ${name}_state *state) { return state->${name}_value + state->shared->count; }
  `,
  )
  run('gcc', ['-g', '-O1', '-ffreestanding', '-fno-pie', '-c', at('.c'), '-o', at('.o')])
  const base = `--btf_base=${at('.base')}`
  run('pahole', ['-j1', '--btf_gen_floats', base, `--btf_encode_detached=${at('.btf')}`, at('.o')])
  run('objcopy', ['-g', `--add-section=.BTF=${at('.btf')}`, at('.o'), at('.ko')])
  return {
    name,
    dwarf: await readFile(at('.o')),
    ko: await readFile(at('.ko')),
    btf: await readFile(at('.btf')),
  }
}
