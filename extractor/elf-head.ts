import { ByteReader, type ElfSegment, type Endian, isElf } from '../btf/index.ts'

/** What the first bytes of an ELF file say: where its segments are, while its sections are still to come. */
export interface ElfHead {
  readonly endian: Endian
  readonly segments: readonly Pick<ElfSegment, 'type' | 'offset' | 'sizeBytes'>[]
  /** Where the last of segments and section headers ends. */
  readonly endBytes: number
}

/**
 * Reads ELF header and program headers (gABI chapters 4 and 5) from the beginning of a file, as far as they are in
 * it. Null where the bytes are no such header. `btf`'s `readElf` is for files that are there whole.
 */
export function readElfHead(head: Uint8Array): ElfHead | null {
  const bits = head[4] === 1 ? 32 : head[4] === 2 ? 64 : null
  const endian: Endian | null = head[5] === 1 ? 'little' : head[5] === 2 ? 'big' : null
  const wide = bits === 64
  const headerBytes = wide ? 64 : 52
  if (!isElf(head) || bits === null || endian === null || head.byteLength < headerBytes) return null
  const reader = new ByteReader(head, endian, 'ELF header')
  const word = (at: number): number => (wide ? Number(reader.address(at)) : reader.u32(at))
  const segmentsAt = word(wide ? 32 : 28)
  const sectionsAt = word(wide ? 40 : 32)
  const at = wide ? 54 : 42
  const [entryBytes, count, sectionBytes, sectionCount] = [0, 2, 4, 6].map((o) => reader.u16(at + o)) as [
    number,
    number,
    number,
    number,
  ]
  const least = wide ? 56 : 32
  const segments: ElfHead['segments'][number][] = []
  if (entryBytes >= least) {
    for (let i = 0; i < count; i++) {
      const o = segmentsAt + i * entryBytes
      if (o + least > head.byteLength) break
      segments.push({
        type: reader.u32(o),
        offset: word(o + (wide ? 8 : 4)),
        sizeBytes: word(o + (wide ? 32 : 16)),
      })
    }
  }
  const ends = segments.map((segment) => segment.offset + segment.sizeBytes)
  return {
    endian,
    segments,
    endBytes: Math.max(headerBytes, sectionsAt + sectionCount * sectionBytes, ...ends),
  }
}
