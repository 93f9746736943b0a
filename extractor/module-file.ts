import { findSection, parseElf, sectionBytes } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { ExtractError } from './types.ts'

/** Where a package has a module: the kernel that it is for, and its file's name without endings. */
export interface ModulePath {
  /** `uname -r`, as its path says. */
  readonly release: string
  readonly stem: string
}

/** As modules_install and the debug packages of distributions have them: `.ko`, compressed, or their DWARF. */
const MODULE_PATH =
  /^(?:usr\/lib\/debug\/)?(?:usr\/)?lib\/modules\/([A-Za-z0-9][A-Za-z0-9._+~:@-]{0,199})\/(?:[^/]+\/)*([\w-]{1,128})\.ko(?:\.(?:gz|xz|zst|debug))?$/

/** What the path of a module in a package says; null where it is of something else. */
export function modulePathOf(path: string): ModulePath | null {
  const [, release, stem] = MODULE_PATH.exec(path.replace(/^\.?\//, '')) ?? []
  return release === undefined || stem === undefined ? null : { release, stem }
}

/** What a module file holds of types; `null` where it has none, not even DWARF. */
export interface ModuleFile {
  /** As `/sys/kernel/btf` calls it. */
  readonly name: string
  readonly types:
    | { readonly kind: 'btf'; readonly split: Uint8Array; readonly distilledBase: Uint8Array | null }
    | { readonly kind: 'dwarf' }
    | null
}

/**
 * Reads a module, an ELF file. Throws ExtractError `NOT_FOUND` where it says itself that it is another release's
 * (`vermagic` of modinfo(8)), BtfError where it is no ELF that holds.
 */
export function readModuleFile(bytes: Uint8Array, { release, stem }: ModulePath): ModuleFile {
  const elf = parseElf(bytes)
  const section = (name: string): Uint8Array | null => {
    const found = sectionBytes(bytes, elf, name)
    return found === null || found.byteLength === 0 ? null : found
  }
  const info = section('.modinfo')
  const vermagic = infoOf(info, 'vermagic')
  const [magic = release] = vermagic?.split(' ') ?? []
  if (magic !== release) {
    throw new ExtractError('NOT_FOUND', `it is a module of ${magic}, expected ${release}`)
  }
  const name = infoOf(info, 'name') ?? stem.replaceAll('-', '_')
  const split = section('.BTF')
  if (split !== null) return { name, types: { kind: 'btf', split, distilledBase: section('.BTF.base') } }
  const hasDwarf = (findSection(elf, '.debug_info')?.sizeBytes ?? 0) > 0
  return { name, types: hasDwarf ? { kind: 'dwarf' } : null }
}

/** A value of `.modinfo`, which is `KEY=VALUE` and NUL, again and again; null where it is not there, or no name. */
function infoOf(info: Uint8Array | null, key: string): string | null {
  if (info === null || info.byteLength > limits.module.maxInfoBytes) return null
  const text = Buffer.from(info.buffer, info.byteOffset, info.byteLength).toString('latin1')
  const value = text
    .split('\0')
    .find((line) => line.startsWith(`${key}=`))
    ?.slice(key.length + 1)
  return value !== undefined && /^[\w.+~:@-][\w.+~:@ -]{0,255}$/.test(value) ? value : null
}
