/** BPF objects and kernel-like BTF from C, compiled on the spot. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Endian, parseElf, sectionBytes } from '../../btf/index.ts'

/** False where there is no clang that compiles for BPF. */
export const hasClang: boolean =
  spawnSync('clang', ['--print-targets'], { encoding: 'utf8' }).stdout?.includes('bpfeb') ?? false

/** What programs ask of clang for CO-RE, in our words. */
const PRELUDE = `
#define CORE __attribute__((preserve_access_index))
#define SEC(name) __attribute__((section(name), used))
#define byte_offset(f) __builtin_preserve_field_info(f, 0)
#define byte_size(f) __builtin_preserve_field_info(f, 1)
#define field_exists(f) __builtin_preserve_field_info(f, 2)
#define field_signed(f) __builtin_preserve_field_info(f, 3)
#define lshift(f) __builtin_preserve_field_info(f, 4)
#define rshift(f) __builtin_preserve_field_info(f, 5)
#define type_exists(t) __builtin_preserve_type_info(*(t *)0, 0)
#define type_size(t) __builtin_preserve_type_info(*(t *)0, 1)
#define type_id_local(t) __builtin_btf_type_id(*(t *)0, 0)
#define type_id_target(t) __builtin_btf_type_id(*(t *)0, 1)
#define enumval_exists(t, v) __builtin_preserve_enum_value(*(t *)v, 0)
#define enumval(t, v) __builtin_preserve_enum_value(*(t *)v, 1)
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
`

/** Compiles a program with our CO-RE macros before it. Throws with clang's words. */
export function compileBpf(
  source: string,
  options: { readonly endian?: Endian; readonly debug?: boolean } = {},
): Uint8Array {
  return compile(PRELUDE + source, options.endian ?? 'little', options.debug ?? true)
}

/**
 * The BTF of C declarations, as if a kernel had them. Only what variables have reaches it, so declare some:
 * \`struct task a;\`.
 */
export function kernelBtf(source: string, endian: Endian = 'little'): Uint8Array {
  const object = compile(source, endian, true)
  const btf = sectionBytes(object, parseElf(object), '.BTF')
  if (btf === null) throw new Error('clang wrote no .BTF: declare variables of the types')
  return new Uint8Array(btf)
}

function compile(source: string, endian: Endian, debug: boolean): Uint8Array {
  const dir = mkdtempSync(join(tmpdir(), 'clang-bpf-'))
  const [input, output] = [join(dir, 'source.c'), join(dir, 'object.bpf.o')]
  writeFileSync(input, source)
  const target = endian === 'little' ? 'bpfel' : 'bpfeb'
  const flags = ['-target', target, '-O2', '-mcpu=v3', '-Wno-everything', ...(debug ? ['-g'] : [])]
  const clang = spawnSync('clang', [...flags, '-c', input, '-o', output], { encoding: 'utf8' })
  if (clang.status !== 0) throw new Error(`clang: ${clang.stderr}`)
  return new Uint8Array(readFileSync(output))
}

const CORE_PART_AT = 24
const CORE_RECORD_KIND = 12

/**
 * The same object with other relocation kinds: `to` gives the new kind for an old one. For kinds that this machine's
 * clang cannot ask for.
 */
export function withRelocationKinds(object: Uint8Array, to: (kind: number) => number): Uint8Array {
  const changed = new Uint8Array(object)
  const elf = parseElf(changed)
  const ext = sectionBytes(changed, elf, '.BTF.ext')
  if (ext === null) throw new Error('no .BTF.ext')
  const view = new DataView(ext.buffer, ext.byteOffset, ext.byteLength)
  const little = elf.endian === 'little'
  const start = view.getUint32(4, little) + view.getUint32(CORE_PART_AT, little)
  const end = start + view.getUint32(CORE_PART_AT + 4, little)
  const recordBytes = view.getUint32(start, little)
  for (let at = start + 4; at < end;) {
    const count = view.getUint32(at + 4, little)
    at += 8
    for (let i = 0; i < count; i++, at += recordBytes) {
      view.setUint32(at + CORE_RECORD_KIND, to(view.getUint32(at + CORE_RECORD_KIND, little)), little)
    }
  }
  return changed
}
