import { type FileHandle, open } from 'node:fs/promises'
import { buildIdOf, type Elf, type ElfSection, findSection, readNotes } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { elfAtOrNull, SHF_COMPRESSED, viewAt } from './elf-file.ts'
import { ExtractError } from './types.ts'

/** Where `dwz -m` put what several files' DWARF has in common. */
export interface AltLink {
  /** As the file has it: absolute, or from the file's folder. */
  readonly path: string
  /** In hex: the build-id of that file or, in DWARF 5's own form, its checksum. */
  readonly id: string
}

/** The names of sections that hold a link: the GNU form, and that of DWARF 5, 7.3.6. */
export const LINK_SECTIONS = ['.gnu_debugaltlink', '.debug_sup'] as const

/**
 * The file that the DWARF of the ELF file at `path` goes on in; null where it is whole, or no ELF file.
 * Throws ExtractError `MALFORMED` where a link is there and says nothing.
 */
export async function readAltLink(path: string, name: string): Promise<AltLink | null> {
  return await withSections(path, async (elf, read) => {
    const gnu = linkSection(elf, '.gnu_debugaltlink')
    if (gnu !== null) return parseGnuLink(await read(gnu), name)
    const sup = linkSection(elf, '.debug_sup')
    if (sup === null) return null
    const { isSupplementary, ...link } = parseSup(await read(sup), elf.endian === 'little', name)
    return isSupplementary ? null : link
  })
}

/** What links to the ELF file at `path` call it: its build-id, its checksum, none or both. */
export async function altIdsOf(path: string, name: string): Promise<readonly string[]> {
  const ids = await withSections(path, async (elf, read) => {
    const note = findSection(elf, '.note.gnu.build-id')
    const sup = linkSection(elf, '.debug_sup')
    const buildId = note === null ? null : buildIdOf(readNotes(await read(note), elf.endian))
    const own = sup === null ? null : parseSup(await read(sup), elf.endian === 'little', name)
    return [buildId, own?.isSupplementary === true ? own.id : null]
  })
  return (ids ?? []).filter((id) => id !== null)
}

function linkSection(elf: Elf, name: (typeof LINK_SECTIONS)[number]): ElfSection | null {
  const section = findSection(elf, name)
  return section === null || section.sizeBytes === 0 ? null : section
}

/** `.gnu_debugaltlink`: a path, NUL, and the build-id (gdb, "Debug Files"). Throws ExtractError `MALFORMED`. */
export function parseGnuLink(bytes: Uint8Array, name: string): AltLink {
  const end = bytes.indexOf(0)
  if (end <= 0) throw badLink(name, '.gnu_debugaltlink has no path')
  return checked(bytes.subarray(0, end), bytes.subarray(end + 1), name)
}

/** `.debug_sup` (DWARF 5, 7.3.6): version, whether the file is the other one, its path, and a checksum. */
export function parseSup(
  bytes: Uint8Array,
  isLittle: boolean,
  name: string,
): AltLink & { readonly isSupplementary: boolean } {
  const version =
    bytes.byteLength < 3 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint16(0, isLittle)
  const end = bytes.indexOf(0, 3)
  const idBytes = bytes[end + 1]
  if (version < 2 || version > 5 || end < 0 || idBytes === undefined || idBytes > 0x7f) {
    throw badLink(name, '.debug_sup does not hold')
  }
  const isSupplementary = bytes[2] === 1
  const id = bytes.subarray(end + 2, end + 2 + idBytes)
  // The other file has no path of its own.
  const link = checked(isSupplementary ? Buffer.from('.') : bytes.subarray(3, end), id, name)
  return { ...link, isSupplementary }
}

/** The shortest id that is believed to name one file. */
const MIN_ID_BYTES = 8

function checked(path: Uint8Array, id: Uint8Array, name: string): AltLink {
  const text = new TextDecoder('utf-8', { fatal: false }).decode(path)
  if (text === '' || /\p{Cc}/u.test(text)) throw badLink(name, 'the path of the other file is none')
  if (id.byteLength < MIN_ID_BYTES || id.byteLength > 64) {
    throw badLink(name, `the other file’s id has ${id.byteLength} bytes, expected ${MIN_ID_BYTES} to 64`)
  }
  return { path: text, id: Buffer.from(id).toString('hex') }
}

function badLink(name: string, text: string): ExtractError {
  return new ExtractError('MALFORMED', `${name}: its DWARF goes on in another file, but ${text}`)
}

type ReadSection = (section: ElfSection) => Promise<Uint8Array>

async function withSections<T>(
  path: string,
  handler: (elf: Elf, read: ReadSection) => Promise<T>,
): Promise<T | null> {
  const elf = elfAtOrNull(path)
  if (elf === null) return null
  const file = await open(path, 'r')
  try {
    return await handler(elf, (section) => readSmall(file, section))
  } finally {
    await file.close()
  }
}

async function readSmall(
  file: FileHandle,
  { name, flags, offset, sizeBytes }: ElfSection,
): Promise<Uint8Array> {
  if ((flags & SHF_COMPRESSED) !== 0 || sizeBytes > limits.elf.maxLinkBytes) {
    throw new ExtractError('UNSUPPORTED', `${name}: ${sizeBytes} bytes, or compressed`)
  }
  const view = await viewAt(file, offset, sizeBytes)
  return new Uint8Array(view.buffer)
}
