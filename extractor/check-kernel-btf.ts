import { type Btf, BtfError, findMember, Kind, parseBtf, validateBtf } from '../btf/index.ts'
import type { Arch } from '../core/kernel.ts'
import { type Expected, ExtractError, type TypeRange } from './types.ts'

/** A struct that every kernel has, and the sizes in bytes between which it is believed. */
interface CoreType {
  readonly name: string
  readonly least: number
  readonly most: number
  /** Members that it never lost. */
  readonly members?: readonly string[]
}

/**
 * Present in every Linux since 3.10, whatever its configuration. The bounds leave half of the smallest seen (a 32-bit
 * one) and several times the largest: they are against garbage, not against debug options.
 */
const CORE_TYPES: readonly CoreType[] = [
  { name: 'task_struct', least: 1024, most: 65536, members: ['pid', 'tgid', 'comm', 'mm'] },
  { name: 'mm_struct', least: 240, most: 32768 },
  { name: 'signal_struct', least: 200, most: 8192 },
  { name: 'cred', least: 64, most: 2048, members: ['uid', 'gid'] },
  { name: 'file', least: 64, most: 2048, members: ['f_inode'] },
  { name: 'inode', least: 160, most: 8192, members: ['i_ino'] },
  { name: 'dentry', least: 64, most: 2048 },
  { name: 'super_block', least: 340, most: 16384 },
  { name: 'vm_area_struct', least: 40, most: 1024 },
  { name: 'net_device', least: 600, most: 16384, members: ['ifindex'] },
  { name: 'sk_buff', least: 96, most: 1024 },
  { name: 'sock', least: 240, most: 8192 },
  { name: 'list_head', least: 8, most: 16, members: ['next', 'prev'] },
]

/** The registers at an entry into the kernel, by architecture: what is equal in all its kernels, and in no other's. */
const REGISTERS: Partial<Readonly<Record<Arch, CoreType>>> = {
  x86_64: { name: 'pt_regs', least: 168, most: 256, members: ['orig_ax', 'ip', 'sp'] },
  aarch64: { name: 'pt_regs', least: 272, most: 512, members: ['regs', 'pc', 'pstate'] },
}

/** The smallest real kernel, a trimmed one in a test suite, has 35,000; a BPF program, a distilled base or a stub few. */
const LEAST_TYPES = 5000

/**
 * Two or three are usual where files have definitions of their own of what all see (`struct ring_buffer` before 5.8);
 * hundreds mean that deduplication failed.
 */
const MANY_COPIES = 8
/** More than is usual, and worth a word. */
const SOME_COPIES = 4
/** Definitions of structs and unions for each name; 1.00 to 1.06 in every real kernel, 12.9 where deduplication failed. */
const BAD_RATIO = 1.5

/**
 * Checks that bytes are the BTF of a whole kernel, before anybody gets them: parsed whole, what every kernel has is
 * there with a size that it can have, it is of the architecture that is `expected`, and there are as many types as its
 * neighbours have. Gives warnings for people. Throws ExtractError `INVALID`.
 */
export function checkKernelBtf(bytes: Uint8Array, expected: Expected | null = null): readonly string[] {
  const btf = parseWhole(bytes)
  checkCount(btf.idCount - 1, expected?.types ?? null)
  for (const core of CORE_TYPES) checkCoreType(btf, core)
  checkArch(btf, expected?.arch ?? null)
  const copies = structsOf(btf, 'task_struct').length
  const ratio = definitionsPerName(btf)
  if (copies >= MANY_COPIES || ratio >= BAD_RATIO) {
    throw invalid(
      `badly deduplicated: ${btf.idCount - 1} types, structs are defined ${ratio.toFixed(2)} times on average, task_struct ${copies} times; whatever is relocated against them is ambiguous`,
    )
  }
  return copies < SOME_COPIES ? [] : [`task_struct is defined ${copies} times`]
}

/** True for BTF that nobody deduplicated, or only by halves, which {@link checkKernelBtf} refuses as it is. */
export function isBadlyDeduplicated(bytes: Uint8Array): boolean {
  try {
    const btf = parseBtf(bytes)
    return structsOf(btf, 'task_struct').length >= MANY_COPIES || definitionsPerName(btf) >= BAD_RATIO
  } catch (err) {
    if (err instanceof BtfError) return false
    throw err
  }
}

function definitionsPerName(btf: Btf): number {
  let definitions = 0
  const names = new Set<number>()
  for (let id = 1; id < btf.idCount; id++) {
    const kind = btf.kind(id)
    if ((kind !== Kind.STRUCT && kind !== Kind.UNION) || btf.nameOffset(id) === 0) continue
    definitions++
    names.add(btf.nameOffset(id) * 2 + (kind === Kind.UNION ? 1 : 0))
  }
  return names.size === 0 ? 0 : definitions / names.size
}

function checkCount(types: number, expected: TypeRange | null): void {
  if (types < LEAST_TYPES) {
    throw invalid(
      `${types} types, a kernel has at least ${LEAST_TYPES}: this is a part of one, or another program's`,
    )
  }
  if (expected === null || (types >= expected.least && types <= expected.most)) return
  throw invalid(
    `${types} types, ${expected.of} have ${expected.least} to ${expected.most} with some to spare`,
  )
}

function parseWhole(bytes: Uint8Array): Btf {
  try {
    const btf = parseBtf(bytes)
    validateBtf(btf)
    return btf
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    const what = err.code === 'NEEDS_BASE' ? 'split BTF, as modules have it' : 'BTF does not hold'
    throw new ExtractError('INVALID', `not a kernel's: ${what}`, { cause: err })
  }
}

function checkCoreType(btf: Btf, core: CoreType): void {
  const ids = structsOf(btf, core.name)
  if (ids.length === 0) throw invalid(`struct ${core.name} is not there, which every kernel has`)
  for (const id of ids) {
    const size = btf.sizeOrType(id)
    if (size < core.least || size > core.most) {
      throw invalid(
        `struct ${core.name} (type id ${id}) has ${size} bytes, expected ${core.least} to ${core.most}`,
      )
    }
  }
  for (const member of core.members ?? []) {
    if (!ids.some((id) => findMember(btf, id, member) !== null)) {
      throw invalid(`struct ${core.name} (type id ${ids[0]}) has no member ${member}`)
    }
  }
}

/** Kernels that are not there whole may lack the registers; where they are, they say which machine's they are. */
function checkArch(btf: Btf, arch: Arch | null): void {
  const wanted = arch === null ? undefined : REGISTERS[arch]
  if (wanted === undefined) return
  const ids = structsOf(btf, wanted.name)
  const fits = (id: number): boolean =>
    btf.sizeOrType(id) >= wanted.least &&
    btf.sizeOrType(id) <= wanted.most &&
    (wanted.members ?? []).every((member) => findMember(btf, id, member) !== null)
  if (ids.length === 0 || ids.some(fits)) return
  throw invalid(`struct ${wanted.name} (type id ${ids[0]}) is not that of ${arch}: of another architecture`)
}

function structsOf(btf: Btf, name: string): number[] {
  return btf.idsByName(name).filter((id) => btf.kind(id) === Kind.STRUCT)
}

function invalid(problem: string): ExtractError {
  return new ExtractError('INVALID', `not a kernel's BTF: ${problem}`)
}
