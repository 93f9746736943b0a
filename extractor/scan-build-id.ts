import { buildIdOf, type Endian, PT_NOTE, readNotes } from '../btf/index.ts'
import { type ElfHead, readElfHead } from './elf-head.ts'
import { occurrences } from './occurrences.ts'
import type { Tracker } from './scan.ts'

/** PT_NOTE of a kernel has some 500 bytes. */
const MAX_NOTES_BYTES = 64 * 1024

/** Finds the build-id of an ELF kernel: the GNU note in the segments that its program headers call notes. */
export class ElfBuildIdTracker implements Tracker {
  readonly #notes: { readonly offset: number; readonly sizeBytes: number }[]
  readonly #endian: Endian
  buildId: string | null = null

  constructor(elf: ElfHead) {
    this.#endian = elf.endian
    this.#notes = elf.segments
      .filter((segment) => segment.type === PT_NOTE && segment.sizeBytes <= MAX_NOTES_BYTES)
      .sort((a, b) => a.offset - b.offset)
  }

  get settled(): boolean {
    return this.buildId !== null || this.#notes.length === 0
  }

  scan(bytes: Buffer, base: number): number {
    const end = base + bytes.byteLength
    for (let next = this.#notes[0]; next !== undefined && !this.settled; next = this.#notes[0]) {
      if (next.offset + next.sizeBytes > end) return Math.min(next.offset, end)
      this.#notes.shift()
      if (next.offset < base) continue
      const notes = bytes.subarray(next.offset - base, next.offset - base + next.sizeBytes)
      this.buildId = buildIdOf(readNotes(notes, this.#endian))
    }
    return end
  }
}

const GNU = Buffer.from('GNU\0', 'latin1')
const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46])
/** namesz, descsz and type in front of the name. */
const NOTE_HEADER_BYTES = 12
const NT_GNU_BUILD_ID = 3
/** What is looked at of an embedded ELF: its header and a few program headers. */
const ELF_HEAD_BYTES = 1024
/** A vDSO has 8 to 64 KiB. A header that claims more is not believed: it would hide the kernel's own note. */
const MAX_EMBEDDED_BYTES = 1 << 20
/** Embedded ELF files that are looked at; kernels have two to five. */
const MAX_EMBEDDED = 10_000

/**
 * Finds the build-id of an image without headers, such as arm64's: a GNU note of its own, at a multiple of four.
 * Notes inside embedded ELF files (the vDSOs have one each) are somebody else's.
 */
export class FlatBuildIdTracker implements Tracker {
  /** Up to where the bytes belong to an embedded ELF. */
  #embeddedEnd = 0
  #elfs = 0
  #from = 0
  buildId: string | null = null

  get settled(): boolean {
    return this.buildId !== null
  }

  scan(bytes: Buffer, base: number, isLast: boolean): number {
    const end = bytes.byteLength
    for (const { at, needle } of occurrences(bytes, [GNU, ELF_MAGIC], this.#from - base)) {
      if (end - at < ELF_HEAD_BYTES && !isLast) return base + at - NOTE_HEADER_BYTES
      this.#from = base + at + 1
      if (needle === ELF_MAGIC) this.#passElf(bytes.subarray(at, at + ELF_HEAD_BYTES), base + at)
      else if (base + at >= this.#embeddedEnd) {
        this.buildId = noteBuildId(bytes, at - NOTE_HEADER_BYTES, base)
        if (this.settled) return base + end
      }
    }
    // The note's header lies before its name, so that much stays behind.
    return base + end - NOTE_HEADER_BYTES - (GNU.byteLength - 1)
  }

  #passElf(head: Buffer, at: number): void {
    // EV_CURRENT. Most hits are no header, and images may be made of hits.
    if (head[6] !== 1 || ++this.#elfs > MAX_EMBEDDED) return
    const elf = readElfHead(head)
    if (elf === null || elf.endBytes > MAX_EMBEDDED_BYTES) return
    this.#embeddedEnd = Math.max(this.#embeddedEnd, at + elf.endBytes)
  }
}

/** The build-id of the note that starts at `at`; null where it is no such note. */
function noteBuildId(bytes: Buffer, at: number, base: number): string | null {
  if (at < 0 || (base + at) % 4 !== 0) return null
  for (const read of [bytes.readUInt32LE, bytes.readUInt32BE]) {
    if (read.call(bytes, at) !== GNU.byteLength || read.call(bytes, at + 8) !== NT_GNU_BUILD_ID) continue
    const descBytes = read.call(bytes, at + 4)
    if (descBytes < 8 || descBytes > 32 || at + 16 + descBytes > bytes.byteLength) continue
    return bytes.toString('hex', at + 16, at + 16 + descBytes)
  }
  return null
}
