import { readBtfHeader } from '../btf/index.ts'
import { describeError, HubError } from '../core/errors.ts'
import { occurrences } from './occurrences.ts'
import type { Tracker } from './scan.ts'
import type { SoundBtf } from './sound-btf.ts'
import { ExtractError } from './types.ts'

/**
 * Magic, version 1, no flags, in both byte orders: kernel/bpf and its light skeletons contain the magic, and other
 * BTF, so what follows has to hold too.
 */
const MAGIC_BYTES = 4
const MAGICS: readonly Buffer[] = [Buffer.from([0x9f, 0xeb, 1, 0]), Buffer.from([0xeb, 0x9f, 1, 0])]
/** Headers have 24 or 32 bytes today. */
const MAX_HEADER_BYTES = 256
/** Occurrences of the magic with a length behind it, before an image counts as made to hurt; real ones have ten. */
const MAX_MAGICS = 10_000
/** Headers that look right and do not hold, before an image counts as made to hurt; a real one has two or three. */
const MAX_CANDIDATES = 64
/** Smaller ones are of BPF programs inside the kernel: that they are no kernel's is not worth a word. */
const REMARKABLE_BYTES = 64 * 1024

/** A BTF that has begun, and is collected as the stream brings it. */
interface Candidate {
  readonly start: number
  readonly sizeBytes: number
  readonly pieces: Buffer[]
  have: number
}

/**
 * Finds a kernel's BTF in an unpacked image, at any alignment. Candidates may lie inside each other: each is collected
 * by itself, so that a header that lies about its size hides nothing.
 */
export class BtfTracker implements Tracker {
  readonly #check: (bytes: Uint8Array) => SoundBtf
  readonly #open: Candidate[] = []
  #magics = 0
  #headers = 0
  #from = 0
  btf: Uint8Array | null = null
  /** What the check of that BTF found odd. */
  warnings: readonly string[] = []
  /** Why candidates of a kernel's size were refused. */
  readonly refused: string[] = []

  /** `check` throws a HubError where bytes are not a kernel's BTF. */
  constructor(check: (bytes: Uint8Array) => SoundBtf) {
    this.#check = check
  }

  get settled(): boolean {
    return this.btf !== null
  }

  scan(bytes: Buffer, base: number, isLast: boolean): number {
    const keep = this.#find(bytes, base, isLast)
    for (const candidate of [...this.#open]) {
      this.#collect(candidate, bytes, base)
      if (candidate.have === candidate.sizeBytes) {
        this.#open.splice(this.#open.indexOf(candidate), 1)
        this.#judge(candidate)
        if (this.settled) {
          this.#open.length = 0
          return base + bytes.byteLength
        }
      } else if (isLast) {
        this.#refuse(candidate, `only ${candidate.have} bytes of it are there`)
      }
    }
    return keep
  }

  #find(bytes: Buffer, base: number, isLast: boolean): number {
    const end = bytes.byteLength
    for (const { at } of occurrences(bytes, MAGICS, this.#from - base)) {
      if (end - at < MAX_HEADER_BYTES && !isLast) return base + at
      this.#from = base + at + 1
      this.#consider(bytes.subarray(at, at + MAX_HEADER_BYTES), base + at)
    }
    return base + end - (MAGIC_BYTES - 1)
  }

  #consider(head: Buffer, start: number): void {
    if (!hasHeaderLength(head)) return
    if (++this.#magics > MAX_MAGICS) {
      throw new ExtractError('LIMIT', `more than ${MAX_MAGICS} places that start like BTF`)
    }
    let sizeBytes: number
    try {
      sizeBytes = readBtfHeader(head, Infinity).totalBytes
    } catch (err) {
      if (err instanceof HubError) return
      throw err
    }
    if (++this.#headers > MAX_CANDIDATES) {
      throw new ExtractError('LIMIT', `more than ${MAX_CANDIDATES} BTF headers that hold no kernel's BTF`)
    }
    this.#open.push({ start, sizeBytes, pieces: [], have: 0 })
  }

  #collect(candidate: Candidate, bytes: Buffer, base: number): void {
    const from = candidate.start + candidate.have - base
    const piece = bytes.subarray(from, from + candidate.sizeBytes - candidate.have)
    if (piece.byteLength === 0) return
    candidate.pieces.push(piece)
    candidate.have += piece.byteLength
  }

  #judge(candidate: Candidate): void {
    // A copy of its own: the pieces are parts of much larger buffers, and parsers want it aligned.
    const bytes = new Uint8Array(candidate.sizeBytes)
    let at = 0
    for (const piece of candidate.pieces) {
      bytes.set(piece, at)
      at += piece.byteLength
    }
    try {
      const sound = this.#check(bytes)
      this.warnings = sound.warnings
      this.btf = sound.btf
    } catch (err) {
      if (!(err instanceof HubError)) throw err
      this.#refuse(candidate, describeError(err))
    }
  }

  #refuse(candidate: Candidate, reason: string): void {
    if (candidate.sizeBytes < REMARKABLE_BYTES) return
    this.refused.push(`BTF of ${candidate.sizeBytes} bytes at byte ${candidate.start}: ${reason}`)
  }
}

/** Whether `hdr_len` can be one: a look at one word, where reading the header throws for each that is none. */
function hasHeaderLength(head: Buffer): boolean {
  if (head.byteLength < 24) return false
  const length = head[0] === 0x9f ? head.readUInt32LE(4) : head.readUInt32BE(4)
  return length >= 24 && length <= MAX_HEADER_BYTES
}
