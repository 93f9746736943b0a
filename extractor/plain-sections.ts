import { type FileHandle, open } from 'node:fs/promises'
import { createInflate } from 'node:zlib'
import type { Elf } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { decompress } from './codec.ts'
import { changeSection, elfAtOrNull, piecesOf, SHF_COMPRESSED, viewAt } from './elf-file.ts'
import { pump, SourceFailure } from './pump.ts'
import { TempSpace } from './temp-space.ts'
import { ExtractError } from './types.ts'

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

/** A section that is stored compressed, and which of all it is. */
interface Packed {
  readonly index: number
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
    const elf = elfAtOrNull(path)
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

async function packedSections(file: FileHandle, elf: Elf): Promise<Packed[]> {
  const [isLittle, isWide] = [elf.endian === 'little', elf.bits === 64]
  const found: Packed[] = []
  for (const [index, { name, flags, offset, sizeBytes }] of elf.sections.entries()) {
    const headBytes = isWide ? 24 : 12
    if (!name.startsWith('.debug_') || (flags & SHF_COMPRESSED) === 0 || sizeBytes < headBytes) continue
    const head = await viewAt(file, offset, headBytes)
    const [unpackedBytes, align] = isWide
      ? [Number(head.getBigUint64(8, isLittle)), Number(head.getBigUint64(16, isLittle))]
      : [head.getUint32(4, isLittle), head.getUint32(8, isLittle)]
    found.push({
      index,
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
  await changeSection(file, elf, section.index, {
    offset: start,
    sizeBytes: at - start,
    plainAlign: section.align,
  })
  return at
}

async function* unpacked(
  file: FileHandle,
  { type, unpackedBytes, ...section }: Packed,
  how: Unpacking,
): AsyncGenerator<Uint8Array> {
  const stored = piecesOf(file, section)
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
