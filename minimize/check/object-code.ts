import { ByteReader, BtfError, type Elf, parseElf, SHT_REL, SHT_SYMTAB } from '../../btf/index.ts'
import { MinimizeError } from '../errors.ts'
import { CALL, type Insn, INSN_BYTES, LDIMM64, PSEUDO_CALL, readInsn } from './insn.ts'

/** A function of a BPF object: a program, or what programs call. Instructions are counted, not bytes. */
export interface CodeFunction {
  readonly name: string
  readonly section: string
  readonly start: number
  /** Exclusive. */
  readonly end: number
  /** The verifier checks it on its own, with unknown arguments, whether or not a call of it can be reached. */
  readonly isGlobal: boolean
}

/** What an instruction refers to through an ELF relocation. */
export type Reference = CodeFunction | 'other'

/** The instructions of a BPF object, and how they hang together. */
export interface ObjectCode {
  readonly sections: ReadonlyMap<string, readonly Insn[]>
  /** What a loader hands to the kernel one by one; the other functions come along with those that call them. */
  readonly programs: readonly CodeFunction[]
  /** The functions that it calls or takes the address of, itself first, theirs included. */
  closure(program: CodeFunction): readonly CodeFunction[]
  /** The function that has an instruction. */
  functionAt(section: string, insn: number): CodeFunction | null
  /** By the number of the instruction in its section; null where it stands for itself. */
  reference(section: string, insn: number): Reference | null
  /** The function that a call within the program leads to; null where it leads out of it. */
  callee(section: string, insn: number): CodeFunction | null
}

const SHT_PROGBITS = 1
const SHF_EXECINSTR = 4
const STB_LOCAL = 0
const STT_FUNC = 2
const STT_SECTION = 3
const STV_INTERNAL = 1
const STV_HIDDEN = 2
const SYMBOL_BYTES = 24
const REL_BYTES = 16
const TEXT = '.text'

interface Symbol {
  readonly name: string
  readonly binding: number
  readonly type: number
  readonly visibility: number
  readonly section: number
  readonly value: number
  readonly sizeBytes: number
}

/**
 * Reads the instructions of an object that `parseBpfObject` has accepted. Follows libbpf (bpf_object__add_programs,
 * bpf_object__reloc_code): functions of `.text` are no programs, unless there is just one. Throws MinimizeError
 * `MALFORMED` where symbols or relocations point outside.
 */
export function parseObjectCode(name: string, bytes: Uint8Array): ObjectCode {
  try {
    return parse(name, bytes)
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new MinimizeError('MALFORMED', `object ${name}: ${err.message}`, { cause: err })
  }
}

function parse(name: string, bytes: Uint8Array): ObjectCode {
  const elf = parseElf(bytes)
  const sections = new Map<string, readonly Insn[]>()
  const indexes = new Map<number, string>()
  for (const [index, section] of elf.sections.entries()) {
    if (section.type !== SHT_PROGBITS || (section.flags & SHF_EXECINSTR) === 0) continue
    sections.set(section.name, readInsns(bytes, elf, index))
    indexes.set(index, section.name)
  }
  const symbols = readSymbols(bytes, elf)
  const functions = new Map<string, CodeFunction>()
  for (const symbol of symbols) {
    const section = indexes.get(symbol.section)
    if (symbol.type !== STT_FUNC || section === undefined) continue
    const start = symbol.value / INSN_BYTES
    const end = start + symbol.sizeBytes / INSN_BYTES
    if (!Number.isInteger(start) || !Number.isInteger(end) || end > (sections.get(section)?.length ?? 0)) {
      throw new MinimizeError('MALFORMED', `object ${name}: function ${symbol.name} is not within ${section}`)
    }
    const isHidden = symbol.visibility === STV_HIDDEN || symbol.visibility === STV_INTERNAL
    const isGlobal = symbol.binding !== STB_LOCAL && !isHidden
    functions.set(`${section}/${start}`, { name: symbol.name, section, start, end, isGlobal })
  }
  const all = [...functions.values()].sort(
    (a, b) => (a.section === b.section ? 0 : a.section < b.section ? -1 : 1) || a.start - b.start,
  )
  const programs = all.filter(({ section }) => section !== TEXT || all.length === 1)
  const references = readReferences(bytes, elf, indexes, symbols, sections, functions)
  return new LinkedCode(sections, programs, functions, references)
}

class LinkedCode implements ObjectCode {
  readonly sections: ReadonlyMap<string, readonly Insn[]>
  readonly programs: readonly CodeFunction[]
  readonly #functions: ReadonlyMap<string, CodeFunction>
  readonly #references: ReadonlyMap<string, Reference>
  /** By section, ordered. */
  readonly #ordered = new Map<string, CodeFunction[]>()

  constructor(
    sections: ReadonlyMap<string, readonly Insn[]>,
    programs: readonly CodeFunction[],
    functions: ReadonlyMap<string, CodeFunction>,
    references: ReadonlyMap<string, Reference>,
  ) {
    this.sections = sections
    this.programs = programs
    this.#functions = functions
    this.#references = references
    for (const each of functions.values()) {
      const list = this.#ordered.get(each.section)
      if (list === undefined) this.#ordered.set(each.section, [each])
      else list.push(each)
    }
    for (const list of this.#ordered.values()) list.sort((a, b) => a.start - b.start)
  }

  functionAt(section: string, insn: number): CodeFunction | null {
    const list = this.#ordered.get(section) ?? []
    let [low, high] = [0, list.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((list[middle] as CodeFunction).start <= insn) low = middle + 1
      else high = middle
    }
    const found = list[low - 1]
    return found !== undefined && insn < found.end ? found : null
  }

  closure(program: CodeFunction): readonly CodeFunction[] {
    const found = new Set([program])
    // A Set hands out what is added while it is walked.
    for (const { section, start, end } of found) {
      for (let insn = start; insn < end; insn++) {
        const referred = this.reference(section, insn) ?? this.callee(section, insn)
        if (referred !== null && referred !== 'other') found.add(referred)
      }
    }
    return [...found]
  }

  reference(section: string, insn: number): Reference | null {
    return this.#references.get(`${section}/${insn}`) ?? null
  }

  callee(section: string, insn: number): CodeFunction | null {
    const { opcode, src, imm } = this.sections.get(section)?.[insn] ?? NOTHING
    if (opcode !== CALL || src !== PSEUDO_CALL) return null
    const referred = this.reference(section, insn)
    if (referred !== null) return referred === 'other' ? null : referred
    return this.#functions.get(`${section}/${insn + 1 + imm}`) ?? null
  }
}

const NOTHING: Insn = { opcode: 0, dst: 0, src: 0, offset: 0, imm: 0 }

function readInsns(bytes: Uint8Array, elf: Elf, index: number): Insn[] {
  const section = elf.sections[index]
  if (section === undefined || section.sizeBytes % INSN_BYTES !== 0) {
    throw new BtfError(
      'MALFORMED',
      `section ${section?.name}: ${section?.sizeBytes} bytes, no multiple of ${INSN_BYTES}`,
    )
  }
  const reader = new ByteReader(
    bytes.subarray(section.offset, section.offset + section.sizeBytes),
    elf.endian,
    section.name,
  )
  return Array.from({ length: section.sizeBytes / INSN_BYTES }, (_, i) => readInsn(reader, i * INSN_BYTES))
}

/** `Elf64_Sym` entries of the symbol table; none where there is no table. */
function readSymbols(bytes: Uint8Array, elf: Elf): Symbol[] {
  const table = elf.sections.find(({ type }) => type === SHT_SYMTAB)
  const strings = elf.sections[table?.link ?? -1]
  if (table === undefined || strings === undefined) return []
  const reader = new ByteReader(
    bytes.subarray(table.offset, table.offset + table.sizeBytes),
    elf.endian,
    'symbols',
  )
  const names = Buffer.from(bytes.buffer, bytes.byteOffset + strings.offset, strings.sizeBytes)
  return Array.from({ length: Math.floor(table.sizeBytes / SYMBOL_BYTES) }, (_, i) => {
    const at = i * SYMBOL_BYTES
    const nameAt = reader.u32(at)
    const nameEnd = names.indexOf(0, nameAt)
    const info = reader.u8(at + 4)
    return {
      name: nameEnd < 0 ? '' : names.toString('latin1', nameAt, nameEnd),
      binding: info >>> 4,
      type: info & 0xf,
      visibility: reader.u8(at + 5) & 3,
      section: reader.u16(at + 6),
      value: reader.u64(at + 8),
      sizeBytes: reader.u64(at + 16),
    }
  })
}

/** What `.rel*` sections say of instructions. */
function readReferences(
  bytes: Uint8Array,
  elf: Elf,
  indexes: ReadonlyMap<number, string>,
  symbols: readonly Symbol[],
  sections: ReadonlyMap<string, readonly Insn[]>,
  functions: ReadonlyMap<string, CodeFunction>,
): Map<string, Reference> {
  const references = new Map<string, Reference>()
  for (const table of elf.sections) {
    const section = indexes.get(table.info)
    if (table.type !== SHT_REL || section === undefined) continue
    const reader = new ByteReader(
      bytes.subarray(table.offset, table.offset + table.sizeBytes),
      elf.endian,
      table.name,
    )
    for (let at = 0; at + REL_BYTES <= table.sizeBytes; at += REL_BYTES) {
      const number = reader.u64(at) / INSN_BYTES
      // r_info: the symbol in the high half.
      const symbol = symbols[Number(reader.address(at + 8) >> 32n)]
      const insn = sections.get(section)?.[number]
      if (symbol === undefined || insn === undefined) {
        throw new BtfError('MALFORMED', `${table.name}: entry at byte ${at} points outside`)
      }
      const target = indexes.get(symbol.section)
      const start = targetStart(insn, symbol)
      const reached = target === undefined || start === null ? undefined : functions.get(`${target}/${start}`)
      references.set(`${section}/${number}`, reached ?? 'other')
    }
  }
  return references
}

/** Which instruction of its section a symbol and an addend mean: of section symbols, the instruction has the place. */
function targetStart(insn: Insn, symbol: Symbol): number | null {
  if (symbol.type !== STT_FUNC && symbol.type !== STT_SECTION) return null
  const start = symbol.value / INSN_BYTES
  if (insn.opcode === CALL) return start + insn.imm + 1
  if (insn.opcode === LDIMM64) return symbol.type === STT_SECTION ? start + insn.imm / INSN_BYTES : start
  return null
}
