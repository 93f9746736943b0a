import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { BtfError, type Elf, type ElfSection, readElf } from '../btf/index.ts'

export const SHF_COMPRESSED = 0x800

/** Headers of the ELF file at `path`. Throws BtfError where it is none, or they do not hold. */
export function elfAt(path: string): Elf {
  const file = openSync(path, 'r')
  try {
    const sizeBytes = fstatSync(file).size
    return readElf((offset, length) => {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, sizeBytes - offset)))
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.byteLength, offset))
    }, sizeBytes)
  } finally {
    closeSync(file)
  }
}

/** The same, null where that would throw. */
export function elfAtOrNull(path: string): Elf | null {
  try {
    return elfAt(path)
  } catch (err) {
    if (err instanceof BtfError) return null
    throw err
  }
}

/** What of a section's header is to change. */
export interface SectionChange {
  readonly offset: number
  readonly sizeBytes: number
  /** Of a section that is no longer compressed: how it is aligned when unpacked. */
  readonly plainAlign?: number
}

/** Writes into `file` where the section that `elf` has at `index` now is. */
export async function changeSection(
  file: FileHandle,
  elf: Elf,
  index: number,
  { offset, sizeBytes, plainAlign }: SectionChange,
): Promise<void> {
  const [isLittle, isWide] = [elf.endian === 'little', elf.bits === 64]
  const { header, at } = await headerOf(file, elf, index)
  // Elf64_Shdr and Elf32_Shdr: sh_flags, sh_offset, sh_size, sh_addralign (gABI, chapter 4).
  const [flagsAt, offsetAt, sizeAt, alignAt] = isWide ? [8, 24, 32, 48] : [8, 16, 20, 32]
  const put = (at: number, value: number): void =>
    isWide ? header.setBigUint64(at, BigInt(value), isLittle) : header.setUint32(at, value, isLittle)
  put(offsetAt, offset)
  put(sizeAt, sizeBytes)
  if (plainAlign !== undefined) {
    put(alignAt, plainAlign)
    // The low half of the flags, where those are that mean the same in all files.
    const lowAt = isWide && !isLittle ? flagsAt + 4 : flagsAt
    header.setUint32(lowAt, header.getUint32(lowAt, isLittle) & ~SHF_COMPRESSED, isLittle)
  }
  await file.write(new Uint8Array(header.buffer), 0, header.byteLength, at)
}

/**
 * Gives the section at `index` a name that is no longer than its own, in whose place it is written. False where the
 * section of names is not the usual one.
 */
export async function renameSection(
  file: FileHandle,
  elf: Elf,
  index: number,
  name: string,
): Promise<boolean> {
  const { header } = await headerOf(file, elf, index)
  const nameAt = header.getUint32(0, elf.endian === 'little')
  const names = elf.sections.find((section) => section.name === '.shstrtab')
  const bytes = Buffer.from(`${name}\0`)
  if (names === undefined || nameAt + bytes.byteLength > names.sizeBytes) return false
  await file.write(bytes, 0, bytes.byteLength, names.offset + nameAt)
  return true
}

async function headerOf(
  file: FileHandle,
  elf: Elf,
  index: number,
): Promise<{ readonly header: DataView; readonly at: number }> {
  const [isLittle, isWide] = [elf.endian === 'little', elf.bits === 64]
  const head = await viewAt(file, 0, 64)
  const table = isWide ? Number(head.getBigUint64(40, isLittle)) : head.getUint32(32, isLittle)
  const headerBytes = isWide ? 64 : 40
  const at = table + index * headerBytes
  return { header: await viewAt(file, at, headerBytes), at }
}

const PIECE_BYTES = 1 << 20

/** The bytes of a part of a file, in pieces that are the receiver's own. */
export async function* piecesOf(
  file: FileHandle,
  { offset, sizeBytes }: Pick<ElfSection, 'offset' | 'sizeBytes'>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, sizeBytes - at))
    const { bytesRead } = await file.read(piece, 0, piece.byteLength, offset + at)
    yield piece.subarray(0, bytesRead)
  }
}

/** A view of `length` bytes of a file, zeros behind its end. */
export async function viewAt(file: FileHandle, offset: number, length: number): Promise<DataView> {
  const bytes = new Uint8Array(length)
  await file.read(bytes, 0, length, offset)
  return new DataView(bytes.buffer)
}
