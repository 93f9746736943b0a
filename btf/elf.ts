/**
 * Just enough ELF to find sections, notes and program headers, without reading a 600 MB vmlinux into memory.
 * Source: System V gABI, chapters 4 and 5; elf(5).
 */
import { limits } from '../core/limits.ts'
import { ByteReader, type Endian } from './bytes.ts'
import { BtfError } from './errors.ts'

/** Gives `length` bytes at `offset` of a file, or fewer at its end. */
export type ReadAt = (offset: number, length: number) => Uint8Array

export interface ElfSection {
  readonly name: string
  readonly type: number
  readonly flags: number
  readonly address: bigint
  readonly offset: number
  /** Bytes in the file; 0 for SHT_NOBITS. */
  readonly sizeBytes: number
  readonly link: number
  readonly info: number
  readonly entryBytes: number
}

export interface ElfSegment {
  readonly type: number
  readonly flags: number
  readonly offset: number
  readonly address: bigint
  /** Bytes in the file. */
  readonly sizeBytes: number
}

export interface Elf {
  readonly bits: 32 | 64
  readonly endian: Endian
  /** `e_type`: 1 relocatable, 2 executable, 3 shared. */
  readonly type: number
  /** `e_machine`: 62 x86-64, 183 AArch64, 247 BPF. */
  readonly machine: number
  readonly sections: readonly ElfSection[]
  readonly segments: readonly ElfSegment[]
}

export const ElfMachine = { X86_64: 62, AARCH64: 183, S390: 22, PPC64: 21, RISCV: 243, BPF: 247 } as const
export const SHT_NOBITS = 8
export const SHT_NOTE = 7
export const SHT_REL = 9
export const SHT_SYMTAB = 2
const SHT_STRTAB = 3
export const PT_LOAD = 1
export const PT_NOTE = 4

const SHN_XINDEX = 0xffff
const PN_XNUM = 0xffff

export function isElf(head: Uint8Array): boolean {
  return head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46
}

/** Reads the headers of an ELF file in memory. Throws BtfError `NOT_ELF` or `MALFORMED`. */
export function parseElf(bytes: Uint8Array): Elf {
  return readElf((offset, length) => bytes.subarray(offset, offset + length), bytes.byteLength)
}

/** Reads the headers of an ELF file through `readAt`. Throws BtfError `NOT_ELF` or `MALFORMED`. */
export function readElf(readAt: ReadAt, sizeBytes: number): Elf {
  const ident = readAt(0, 64)
  if (!isElf(ident)) {
    const got = Buffer.from(ident.subarray(0, 4)).toString('hex')
    throw new BtfError('NOT_ELF', `ELF header: expected magic 7f454c46, got ${got || '(nothing)'}`)
  }
  const bits = ident[4] === 1 ? 32 : ident[4] === 2 ? 64 : null
  const endian: Endian | null = ident[5] === 1 ? 'little' : ident[5] === 2 ? 'big' : null
  if (bits === null || endian === null) {
    throw new BtfError(
      'MALFORMED',
      `ELF header: class ${ident[4]} and data ${ident[5]}, expected 1 or 2 for both`,
    )
  }
  const head = new ByteReader(ident, endian, 'ELF header')
  const wide = bits === 64
  const phoff = wide ? head.u64(32) : head.u32(28)
  const shoff = wide ? head.u64(40) : head.u32(32)
  const at = wide ? 54 : 42
  const [phentsize, phnum, shentsize, shnum, shstrndx] = [0, 2, 4, 6, 8].map((o) => head.u16(at + o)) as [
    number,
    number,
    number,
    number,
    number,
  ]

  const readTable = (
    what: string,
    offset: number,
    entryBytes: number,
    expected: number,
    count: number,
  ): ByteReader => {
    if (entryBytes !== expected) {
      throw new BtfError(
        'MALFORMED',
        `ELF header: ${what} headers of ${entryBytes} bytes, expected ${expected}`,
      )
    }
    if (count > limits.elf.maxHeaders) {
      throw new BtfError(
        'LIMIT',
        `ELF header: ${count} ${what} headers, ${limits.elf.maxHeaders} are allowed`,
      )
    }
    if (offset + count * entryBytes > sizeBytes) {
      throw new BtfError(
        'MALFORMED',
        `ELF header: ${count} ${what} headers at byte ${offset} do not fit into ${sizeBytes} bytes`,
      )
    }
    return new ByteReader(readAt(offset, count * entryBytes), endian, `ELF ${what} headers`)
  }

  const rawSection = (table: ByteReader, index: number): RawSection => {
    const o = index * shentsize
    return wide
      ? {
          nameOffset: table.u32(o),
          type: table.u32(o + 4),
          flags: Number(BigInt.asUintN(32, table.address(o + 8))),
          address: table.address(o + 16),
          offset: table.u64(o + 24),
          size: table.u64(o + 32),
          link: table.u32(o + 40),
          info: table.u32(o + 44),
          entryBytes: table.u64(o + 56),
        }
      : {
          nameOffset: table.u32(o),
          type: table.u32(o + 4),
          flags: table.u32(o + 8),
          address: BigInt(table.u32(o + 12)),
          offset: table.u32(o + 16),
          size: table.u32(o + 20),
          link: table.u32(o + 24),
          info: table.u32(o + 28),
          entryBytes: table.u32(o + 36),
        }
  }

  const sectionHeaderBytes = wide ? 64 : 40
  // gABI: counts that do not fit 16 bits are in the first section header.
  const first =
    shoff === 0 ? null : rawSection(readTable('section', shoff, shentsize, sectionHeaderBytes, 1), 0)
  const sectionCount = shoff === 0 ? 0 : shnum === 0 && first !== null ? first.size : shnum
  const nameIndex = shstrndx === SHN_XINDEX && first !== null ? first.link : shstrndx
  const segmentCount = phnum === PN_XNUM && first !== null ? first.info : phnum

  const raw: RawSection[] = []
  if (sectionCount > 0) {
    const table = readTable('section', shoff, shentsize, sectionHeaderBytes, sectionCount)
    for (let i = 0; i < sectionCount; i++) raw.push(rawSection(table, i))
  }
  for (const [i, section] of raw.entries()) {
    if (section.type === SHT_NOBITS) continue
    if (section.offset + section.size > sizeBytes && section.type !== 0) {
      throw new BtfError(
        'MALFORMED',
        `ELF section ${i}: ends at byte ${section.offset + section.size}, the file at ${sizeBytes}`,
      )
    }
  }
  const nameSection = raw[nameIndex]
  // A name table of another type may claim bytes that the file does not have; sections are nameless then.
  const named = nameSection?.type === SHT_STRTAB
  const namesBytes = named ? nameSection.size : 0
  if (namesBytes > limits.elf.maxHeaders * limits.elf.maxNameBytes) {
    throw new BtfError('LIMIT', `ELF section ${nameIndex}: ${namesBytes} bytes of section names`)
  }
  const names = named ? Buffer.from(readAt(nameSection.offset, namesBytes)) : Buffer.alloc(0)

  const segments: ElfSegment[] = []
  if (phoff !== 0 && segmentCount > 0) {
    const table = readTable('program', phoff, phentsize, wide ? 56 : 32, segmentCount)
    for (let i = 0; i < segmentCount; i++) {
      const o = i * phentsize
      segments.push(
        wide
          ? {
              type: table.u32(o),
              flags: table.u32(o + 4),
              offset: table.u64(o + 8),
              address: table.address(o + 16),
              sizeBytes: table.u64(o + 32),
            }
          : {
              type: table.u32(o),
              flags: table.u32(o + 24),
              offset: table.u32(o + 4),
              address: BigInt(table.u32(o + 8)),
              sizeBytes: table.u32(o + 16),
            },
      )
    }
  }
  return {
    bits,
    endian,
    type: head.u16(16),
    machine: head.u16(18),
    sections: raw.map((section) => ({
      name: cString(names, section.nameOffset),
      type: section.type,
      flags: section.flags,
      address: section.address,
      offset: section.offset,
      sizeBytes: section.type === SHT_NOBITS ? 0 : section.size,
      link: section.link,
      info: section.info,
      entryBytes: section.entryBytes,
    })),
    segments,
  }
}

interface RawSection {
  nameOffset: number
  type: number
  flags: number
  address: bigint
  offset: number
  size: number
  link: number
  info: number
  entryBytes: number
}

export function findSection(elf: Elf, name: string): ElfSection | null {
  return elf.sections.find((section) => section.name === name) ?? null
}

/** A section's bytes of an ELF in memory; null where there is none of that name, or it has no bytes. */
export function sectionBytes(bytes: Uint8Array, elf: Elf, name: string): Uint8Array | null {
  const section = findSection(elf, name)
  if (section === null || section.type === SHT_NOBITS) return null
  return bytes.subarray(section.offset, section.offset + section.sizeBytes)
}

export interface ElfNote {
  readonly name: string
  readonly type: number
  readonly desc: Uint8Array
}

/** The notes of a note section or segment; ends where the bytes make no further note. */
export function* readNotes(bytes: Uint8Array, endian: Endian): Generator<ElfNote> {
  const reader = new ByteReader(bytes, endian, 'ELF notes')
  for (let at = 0; at + 12 <= bytes.byteLength;) {
    const [nameBytes, descBytes, type] = [reader.u32(at), reader.u32(at + 4), reader.u32(at + 8)]
    const descAt = at + 12 + align4(nameBytes)
    if (descAt + descBytes > bytes.byteLength) return
    yield {
      name: cString(Buffer.from(reader.slice(at + 12, nameBytes)), 0),
      type,
      desc: reader.slice(descAt, descBytes),
    }
    at = descAt + align4(descBytes)
  }
}

const NT_GNU_BUILD_ID = 3

/** The GNU build-id among notes, as hex; null where there is none. */
export function buildIdOf(notes: Iterable<ElfNote>): string | null {
  for (const note of notes) {
    if (note.name === 'GNU' && note.type === NT_GNU_BUILD_ID && note.desc.byteLength >= 8) {
      return Buffer.from(note.desc).toString('hex')
    }
  }
  return null
}

function align4(n: number): number {
  return Math.ceil(n / 4) * 4
}

function cString(bytes: Buffer, offset: number): string {
  if (offset >= bytes.byteLength) return ''
  // A table without NULs would otherwise be read to its end once for each section.
  const longest = bytes.subarray(offset, offset + limits.elf.maxNameBytes)
  const end = longest.indexOf(0)
  return longest.toString('latin1', 0, end < 0 ? longest.byteLength : end)
}
