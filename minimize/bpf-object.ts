import {
  type Btf,
  BtfError,
  type CoreRelo,
  type Elf,
  ElfMachine,
  type Endian,
  type FuncInfo,
  isElf,
  parseBtf,
  parseBtfExt,
  parseElf,
  sectionBytes,
} from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { MinimizeError } from './errors.ts'
import { checkObjectTypes } from './object-types.ts'

/** One CO-RE relocation of a BPF object, and where it is in the program. */
export interface Relocation extends CoreRelo {
  /** Its number among those of its section, from 0: the `#` of libbpf's log. */
  readonly number: number
  /** The function that has the instruction; null where the object does not tell. */
  readonly functionName: string | null
  /** Bytes from the function's first instruction; from the section's where the function is not known. */
  readonly functionOffset: number
  /** First byte of the instruction; null where the section has no such instruction. */
  readonly opcode: number | null
}

/** A BPF object as the minimizer sees it. */
export interface BpfObject {
  /** For people: a file name. */
  readonly name: string
  readonly endian: Endian
  /** Its own types, whose references were checked; null where it has no `.BTF`. */
  readonly btf: Btf | null
  /** In the order of `.BTF.ext`, which is the order in which loaders apply them. */
  readonly relocations: readonly Relocation[]
  /** Why there are no relocations, where a part is missing; such an object is valid and needs nothing. */
  readonly lacks: '.BTF' | '.BTF.ext' | null
}

/** e_machine of objects from LLVM before 2016; libbpf takes them too. */
const EM_NONE = 0
const ET_REL = 1

/**
 * Reads a compiled BPF object (`.bpf.o`): an ELF file of either byte order with `.BTF` and `.BTF.ext`. Bytes are kept,
 * not copied. Throws MinimizeError `NOT_BPF` where it is something else, `MALFORMED`, `UNSUPPORTED` or `LIMIT` where
 * it contradicts itself or is too large; the message names the object and the place.
 */
export function parseBpfObject(name: string, bytes: Uint8Array): BpfObject {
  try {
    return parse(name, bytes)
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    const code = err.code === 'LIMIT' || err.code === 'UNSUPPORTED' ? err.code : 'MALFORMED'
    throw new MinimizeError(code, `object ${name}: ${err.message}`, { cause: err })
  }
}

function parse(name: string, bytes: Uint8Array): BpfObject {
  const elf = parseBpfElf(name, bytes)
  const rawBtf = sectionBytes(bytes, elf, '.BTF')
  const none = { name, endian: elf.endian, relocations: [] }
  if (rawBtf === null || rawBtf.byteLength === 0) return { ...none, btf: null, lacks: '.BTF' }
  const btf = parseBtf(rawBtf)
  checkObjectTypes(btf)
  if (btf.endian !== elf.endian) {
    throw new MinimizeError(
      'MALFORMED',
      `object ${name}: .BTF is ${btf.endian}-endian, the file ${elf.endian}-endian`,
    )
  }
  const rawExt = sectionBytes(bytes, elf, '.BTF.ext')
  if (rawExt === null || rawExt.byteLength === 0) return { ...none, btf, lacks: '.BTF.ext' }
  const { coreRelos, funcInfos } = parseBtfExt(rawExt, btf.strings)
  if (coreRelos.length > limits.object.maxRelocations) {
    throw new MinimizeError(
      'LIMIT',
      `object ${name}: ${coreRelos.length} relocations, ${limits.object.maxRelocations} are allowed`,
    )
  }
  const locate = makeLocator(btf, bytes, elf, funcInfos)
  return { ...none, btf, lacks: null, relocations: numbered(coreRelos).map(locate) }
}

function parseBpfElf(name: string, bytes: Uint8Array): Elf {
  if (bytes.byteLength > limits.object.maxBytes) {
    throw new MinimizeError(
      'LIMIT',
      `object ${name}: ${bytes.byteLength} bytes, ${limits.object.maxBytes} are allowed`,
    )
  }
  if (!isElf(bytes)) {
    const got = Buffer.from(bytes.subarray(0, 4)).toString('hex')
    throw new MinimizeError('NOT_BPF', `object ${name}: no ELF file, its first bytes are ${got || '(none)'}`)
  }
  const elf = parseElf(bytes)
  const isBpf = elf.machine === ElfMachine.BPF || (elf.machine === EM_NONE && elf.type === ET_REL)
  if (!isBpf || elf.bits !== 64) {
    throw new MinimizeError(
      'NOT_BPF',
      `object ${name}: ELF of machine ${elf.machine} with ${elf.bits} bits, expected BPF (${ElfMachine.BPF}) with 64`,
    )
  }
  return elf
}

function numbered(relos: readonly CoreRelo[]): { relo: CoreRelo; number: number }[] {
  const used = new Map<string, number>()
  return relos.map((relo) => {
    const number = used.get(relo.section) ?? 0
    used.set(relo.section, number + 1)
    return { relo, number }
  })
}

type Locator = (entry: { relo: CoreRelo; number: number }) => Relocation

function makeLocator(btf: Btf, bytes: Uint8Array, elf: Elf, funcInfos: readonly FuncInfo[]): Locator {
  const starts = new Map<string, FuncInfo[]>()
  for (const info of funcInfos) {
    const list = starts.get(info.section)
    if (list === undefined) starts.set(info.section, [info])
    else list.push(info)
  }
  for (const list of starts.values()) list.sort((a, b) => a.insnOffset - b.insnOffset)
  const sections = new Map(elf.sections.map((section) => [section.name, section]))
  return ({ relo, number }) => {
    const info = lastAtOrBefore(starts.get(relo.section) ?? [], relo.insnOffset)
    const section = sections.get(relo.section)
    const inSection = section !== undefined && relo.insnOffset < section.sizeBytes
    return {
      ...relo,
      number,
      functionName: info === null ? null : btf.name(info.typeId) || null,
      functionOffset: relo.insnOffset - (info?.insnOffset ?? 0),
      opcode: inSection ? (bytes[section.offset + relo.insnOffset] ?? null) : null,
    }
  }
}

function lastAtOrBefore(infos: readonly FuncInfo[], insnOffset: number): FuncInfo | null {
  let low = 0
  let high = infos.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((infos[middle] as FuncInfo).insnOffset <= insnOffset) low = middle + 1
    else high = middle
  }
  return infos[low - 1] ?? null
}
