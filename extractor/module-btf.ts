import { writeFile } from 'node:fs/promises'
import { type Btf, checkOnBase, parseBtf, relocateSplit, validateBtf } from '../btf/index.ts'
import { withTempFile } from '../core/temp-file.ts'
import type { ModuleFile } from './module-file.ts'
import type { PaholeAbilities } from './pahole-flags.ts'
import { encodeDwarf } from './pahole.ts'

/** Split BTF of one module on its kernel's. */
export interface ModuleBtf {
  /** As `/sys/kernel/btf` calls it. */
  readonly name: string
  readonly btf: Uint8Array
  readonly origin: 'embedded' | 'dwarf'
}

/** The kernel that modules are of: its BTF, and a file with the same for pahole. */
export interface ModuleBase {
  readonly btf: Btf
  readonly path: string
}

export interface ModuleEncoding {
  readonly tempDir: string
  readonly signal: AbortSignal
  readonly pahole: () => Promise<PaholeAbilities>
}

/**
 * The split BTF of a module, made on `base` and checked there: its own, put from its distilled base onto the
 * kernel's where it brings one; else of its DWARF. Null where it has no types. Throws BtfError where it is not of
 * that kernel, ExtractError as {@link encodeDwarf} does.
 */
export async function moduleBtf(
  file: ModuleFile,
  bytes: Uint8Array,
  base: ModuleBase,
  how: ModuleEncoding,
): Promise<ModuleBtf | null> {
  const { name, types } = file
  if (types === null) return null
  if (types.kind === 'dwarf') {
    const btf = await encodeModule(name, bytes, base, how)
    return { name, btf, origin: 'dwarf' }
  }
  const btf =
    types.distilledBase === null
      ? // A copy: the module's other sections need not stay in memory.
        new Uint8Array(types.split)
      : relocateSplit(parseBtf(types.split, { base: parseBtf(types.distilledBase) }), base.btf)
  checkModuleBtf(btf, base.btf)
  return { name, btf, origin: 'embedded' }
}

/** Throws BtfError where bytes are not sound split BTF on that very base. */
export function checkModuleBtf(bytes: Uint8Array, base: Btf): void {
  const split = parseBtf(bytes, { base })
  checkOnBase(split)
  validateBtf(split)
}

async function encodeModule(
  name: string,
  bytes: Uint8Array,
  base: ModuleBase,
  how: ModuleEncoding,
): Promise<Uint8Array> {
  return await withTempFile(how.tempDir, async (path) => {
    await writeFile(path, bytes, { flag: 'wx', mode: 0o600 })
    const { tempDir, signal } = how
    const module = { base: base.path, check: (btf: Uint8Array) => checkModuleBtf(btf, base.btf) }
    // One thread each: the modules are many, and several are encoded at a time.
    const made = await encodeDwarf(
      path,
      { name, tempDir, jobs: 1, signal, module, expected: null },
      how.pahole(),
    )
    return made.btf
  })
}
