import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BtfType, encodeBtf, Kind, makeInfo } from '../btf/index.ts'
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

/**
 * A module like it whose BTF brings its base along, as pahole's `distilled_base` makes it: a struct `NAME_state` of an int
 * and of `struct of`, 16 bytes, both of the kernel.
 */
export async function makeDistilled(
  dir: string,
  { name, ko }: SampleModule,
  of = 'list_head',
): Promise<Buffer> {
  const at = (ending: string): string => join(dir, `${name}-distilled${ending}`)
  const base: readonly BtfType[] = [
    { id: 1, kind: 'int', name: 'int', sizeBytes: 4, bits: 32, offsetBits: 0, encoding: 1 },
    { id: 2, kind: 'struct', name: of, sizeBytes: 16, hasBitfieldSizes: false, members: [] },
  ]
  const distilled = encodeBtf(base)
  await writeFile(at('.ko'), ko)
  await writeFile(at('.base'), distilled)
  await writeFile(at('.btf'), splitStruct(`${name}_state`, distilled))
  const sections = [`.BTF=${at('.btf')}`, `.BTF.base=${at('.base')}`].map((one) => `--add-section=${one}`)
  run('objcopy', ['--remove-section=.BTF', ...sections, at('.ko')])
  return readFile(at('.ko'))
}

/** `struct NAME { type 1 count; type 2 list; }` on a base of two types. */
function splitStruct(name: string, base: Buffer | Uint8Array): Buffer {
  const view = new DataView(base.buffer, base.byteOffset, base.byteLength)
  const firstName = view.getUint32(20, true)
  const strings = Buffer.from(`${name}\0count\0list\0`)
  const count = firstName + name.length + 1
  const types = [firstName, makeInfo(Kind.STRUCT, 2, false), 24, count, 1, 0, count + 6, 2, 64]
  const words = Uint32Array.from([24, 0, types.length * 4, types.length * 4, strings.byteLength, ...types])
  return Buffer.concat([Buffer.from([0x9f, 0xeb, 1, 0]), Buffer.from(words.buffer), strings])
}
