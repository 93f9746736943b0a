import { type FileHandle, open } from 'node:fs/promises'
import { closeSync, openSync, readSync } from 'node:fs'
import { createInflate } from 'node:zlib'
import { BtfError, type Elf, readElf } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { decompress } from './codec.ts'
import { pump, SourceFailure } from './pump.ts'
import { TempSpace } from './temp-space.ts'
import { ExtractError } from './types.ts'

const SHF_COMPRESSED = 0x800
/** `ch_type` of Elf64_Chdr (gABI, "Section Compression"). */
const ZLIB = 1
const ZSTD = 2

/** What unpacking needs: where the file is, and the room there. */
export interface Unpacking {
  /** For messages. */
  readonly name: string
  readonly tempDir: string
  readonly space?: TempSpace
  readonly signal: AbortSignal
}

/** A section that is stored compressed, and where its header is. */
interface Packed {
  readonly headerOffset: number
  readonly offset: number
  readonly sizeBytes: number
  readonly type: number
  readonly unpackedBytes: number
  readonly align: number
}

/**
 * Unpacks debug sections of the ELF file at `path`, which is ours: at its end, the headers lead there. `zstd` are those
 * that libelf before 0.189 cannot read, of which pahole then says nothing at all; `all` is for changing what is in them.
 * Does nothing to files that are no ELF. Throws ExtractError `LIMIT` and `MALFORMED`.
 */
export async function unpackDebugSections(
  path: string,
  which: 'zstd' | 'all',
  how: Unpacking,
): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const { size } = await file.stat()
    const elf = headersOf(path, size)
    if (elf === null) return
    const packed = (await packedSections(file, elf)).filter(({ type }) => which === 'all' || type === ZSTD)
    const wanted = packed.reduce((sum, section) => sum + section.unpackedBytes, 0)
    if (size + wanted > limits.vmlinux.maxBytes) {
      const text = `debug sections unpack to ${wanted} bytes, vmlinux may have ${limits.vmlinux.maxBytes}`
      throw new ExtractError('LIMIT', `${how.name}: ${text}`)
    }
    if (packed.length === 0) return
    const room = await (how.space ?? new TempSpace(how.tempDir)).reserve(wanted, how.signal)
    try {
      let end = size
      for (const section of packed) end = await unpackSection(file, elf, section, end, how)
    } finally {
      room.release()
    }
  } finally {
    await file.close()
  }
}

function headersOf(path: string, sizeBytes: number): Elf | null {
  const file = openSync(path, 'r')
  try {
    return readElf((offset, length) => {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, sizeBytes - offset)))
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.byteLength, offset))
    }, sizeBytes)
  } catch (err) {
    if (err instanceof BtfError) return null
    throw err
  } finally {
    closeSync(file)
  }
}

async function packedSections(file: FileHandle, elf: Elf): Promise<Packed[]> {
  const view = await viewAt(file, 0, 64)
  const [isLittle, isWide] = [elf.endian === 'little', elf.bits === 64]
  const tableOffset = isWide ? Number(view.getBigUint64(40, isLittle)) : view.getUint32(32, isLittle)
  const found: Packed[] = []
  for (const [index, { name, flags, offset, sizeBytes }] of elf.sections.entries()) {
    const headBytes = isWide ? 24 : 12
    if (!name.startsWith('.debug_') || (flags & SHF_COMPRESSED) === 0 || sizeBytes < headBytes) continue
    const head = await viewAt(file, offset, headBytes)
    const [unpackedBytes, align] = isWide
      ? [Number(head.getBigUint64(8, isLittle)), Number(head.getBigUint64(16, isLittle))]
      : [head.getUint32(4, isLittle), head.getUint32(8, isLittle)]
    found.push({
      headerOffset: tableOffset + index * (isWide ? 64 : 40),
      offset: offset + headBytes,
      sizeBytes: sizeBytes - headBytes,
      type: head.getUint32(0, isLittle),
      unpackedBytes,
      align,
    })
  }
  return found
}

/** Writes a section behind `end` and makes its header say so; gives the new end. */
async function unpackSection(
  file: FileHandle,
  elf: Elf,
  section: Packed,
  end: number,
  how: Unpacking,
): Promise<number> {
  const start = Math.ceil(end / 16) * 16
  let at = start
  for await (const chunk of unpacked(file, section, how)) {
    await file.write(chunk, 0, chunk.byteLength, at)
    at += chunk.byteLength
  }
  if (at - start !== section.unpackedBytes) {
    const text = `a debug section unpacks to ${at - start} bytes, it says ${section.unpackedBytes}`
    throw new ExtractError('MALFORMED', `${how.name}: ${text}`)
  }
  const header = await viewAt(file, section.headerOffset, elf.bits === 64 ? 64 : 40)
  const isLittle = elf.endian === 'little'
  if (elf.bits === 64) {
    header.setBigUint64(8, header.getBigUint64(8, isLittle) & ~BigInt(SHF_COMPRESSED), isLittle)
    header.setBigUint64(24, BigInt(start), isLittle)
    header.setBigUint64(32, BigInt(at - start), isLittle)
    header.setBigUint64(48, BigInt(section.align), isLittle)
  } else {
    header.setUint32(8, header.getUint32(8, isLittle) & ~SHF_COMPRESSED, isLittle)
    header.setUint32(16, start, isLittle)
    header.setUint32(20, at - start, isLittle)
    header.setUint32(32, section.align, isLittle)
  }
  await file.write(new Uint8Array(header.buffer), 0, header.byteLength, section.headerOffset)
  return at
}

async function* unpacked(
  file: FileHandle,
  { type, offset, sizeBytes, unpackedBytes }: Packed,
  how: Unpacking,
): AsyncGenerator<Uint8Array> {
  const stored = piecesOf(file, offset, sizeBytes)
  const { name, signal } = how
  if (type === ZSTD) yield* decompress('zstd', stored, { name, signal, maxBytes: unpackedBytes, threads: 1 })
  else if (type === ZLIB) yield* inflated(stored, name, unpackedBytes)
  else throw new ExtractError('UNSUPPORTED', `${name}: debug sections of compression ${type}`)
}

async function* inflated(
  source: AsyncIterable<Uint8Array>,
  name: string,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  const inflater = createInflate({ chunkSize: PIECE_BYTES })
  let bytes = 0
  try {
    for await (const chunk of pump(source, inflater, inflater)) {
      if ((bytes += chunk.byteLength) > maxBytes) break
      yield chunk
    }
  } catch (err) {
    if (err instanceof SourceFailure) throw err.cause
    throw new ExtractError('MALFORMED', `${name}: debug section, zlib`, { cause: err })
  }
  if (bytes > maxBytes)
    throw new ExtractError('MALFORMED', `${name}: a debug section unpacks to more than it says`)
}

const PIECE_BYTES = 1 << 20

async function* piecesOf(file: FileHandle, offset: number, sizeBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, sizeBytes - at))
    const { bytesRead } = await file.read(piece, 0, piece.byteLength, offset + at)
    yield piece.subarray(0, bytesRead)
  }
}

async function viewAt(file: FileHandle, offset: number, length: number): Promise<DataView> {
  const bytes = new Uint8Array(length)
  await file.read(bytes, 0, length, offset)
  return new DataView(bytes.buffer)
}
