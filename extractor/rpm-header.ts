import type { ByteStream } from './byte-stream.ts'
import { limits } from '../core/limits.ts'
import { ExtractError } from './types.ts'

/** Tags that are read; lib/rpmtag.h of RPM. */
export const RpmTag = {
  NAME: 1000,
  VERSION: 1001,
  RELEASE: 1002,
  FILE_SIZES: 1028,
  FILE_MODES: 1030,
  FILE_FLAGS: 1037,
  FILE_DEVICES: 1095,
  FILE_INODES: 1096,
  DIR_INDEXES: 1116,
  BASE_NAMES: 1117,
  DIR_NAMES: 1118,
  PAYLOAD_FORMAT: 1124,
  PAYLOAD_COMPRESSOR: 1125,
  LONG_FILE_SIZES: 5008,
  PAYLOAD_DIGEST: 5092,
  PAYLOAD_DIGEST_ALGO: 5093,
} as const

/** Tags of the signature header, whose numbers overlap with those of the other. */
export const RpmSignatureTag = {
  /** OpenPGP signatures of the header: by DSA, ECDSA or EdDSA, and by RSA. */
  DSA_OF_HEADER: 267,
  RSA_OF_HEADER: 268,
  SHA1_OF_HEADER: 269,
  SHA256_OF_HEADER: 273,
  /** OpenPGP signatures of the header, any number of them in base64: RPM 4.20 and later. */
  OPENPGP: 278,
  /** OpenPGP signatures of header and payload: by RSA, and by others. */
  RSA: 1002,
  DSA: 1005,
  /** Of the header and the payload. */
  MD5: 1004,
} as const

const MAGIC = Buffer.from([0x8e, 0xad, 0xe8, 0x01])
const INTRO_BYTES = 16
const ENTRY_BYTES = 16

/** Types of entries, and the bytes of one element; 0 where it ends with a NUL. */
const ELEMENT_BYTES: readonly number[] = [0, 1, 1, 2, 4, 8, 0, 1, 0, 0]
const Type = { INT16: 3, INT32: 4, INT64: 5, STRING: 6, BINARY: 7, STRING_ARRAY: 8, I18N_STRING: 9 } as const
const STRINGS: ReadonlySet<number> = new Set([Type.STRING, Type.STRING_ARRAY, Type.I18N_STRING])

interface Entry {
  readonly type: number
  readonly offset: number
  readonly count: number
}

/**
 * A header structure: an index of tagged entries, and the store that their data are in (RPM's manual, "RPM V4
 * package format"). Numbers are big-endian.
 */
export class RpmHeader {
  /** The structure as the file has it: what its digests are made of. */
  readonly bytes: Uint8Array
  readonly #name: string
  readonly #entries = new Map<number, Entry>()
  readonly #store: Buffer

  private constructor(bytes: Uint8Array, count: number, name: string) {
    this.bytes = bytes
    this.#name = name
    const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#store = all.subarray(INTRO_BYTES + count * ENTRY_BYTES)
    for (let i = 0; i < count; i++) {
      const at = INTRO_BYTES + i * ENTRY_BYTES
      const [tag, type, offset, elements] = [0, 4, 8, 12].map((o) => all.readUInt32BE(at + o)) as [
        number,
        number,
        number,
        number,
      ]
      this.#entries.set(tag, { type, offset, count: elements })
    }
  }

  /** Reads a structure; `what` is for messages. Throws ExtractError `MALFORMED` or `LIMIT`. */
  static async read(stream: ByteStream, what: string): Promise<RpmHeader> {
    const at = stream.position
    const name = `${stream.name}: ${what} at byte ${at}`
    const intro = Buffer.from(await stream.peek(INTRO_BYTES))
    if (intro.byteLength < INTRO_BYTES || !intro.subarray(0, MAGIC.byteLength).equals(MAGIC)) {
      const got = intro.subarray(0, MAGIC.byteLength).toString('hex')
      throw new ExtractError(
        'MALFORMED',
        `${name}: expected magic ${MAGIC.toString('hex')}, got ${got || 'nothing'}`,
      )
    }
    const count = intro.readUInt32BE(8)
    const wholeBytes = INTRO_BYTES + count * ENTRY_BYTES + intro.readUInt32BE(12)
    if (wholeBytes > limits.package.maxRpmHeaderBytes) {
      throw new ExtractError(
        'LIMIT',
        `${name}: ${wholeBytes} bytes, ${limits.package.maxRpmHeaderBytes} are allowed`,
      )
    }
    return new RpmHeader(await stream.read(wholeBytes, what), count, name)
  }

  /** The only or first string of a tag; null where it is not there. Throws ExtractError `MALFORMED`. */
  string(tag: number): string | null {
    return this.strings(tag)?.[0] ?? null
  }

  /** All strings of a tag; null where it is not there. Throws ExtractError `MALFORMED`. */
  strings(tag: number): string[] | null {
    const entry = this.#find(tag, STRINGS)
    if (entry === null) return null
    const found: string[] = []
    let at = entry.offset
    for (let i = 0; i < entry.count; i++) {
      const end = this.#store.indexOf(0, at)
      if (end < 0) throw this.#malformed(tag, `string ${i} of ${entry.count} has no end`)
      found.push(this.#store.toString('utf8', at, end))
      at = end + 1
    }
    return found
  }

  /** All numbers of a tag, of 16, 32 or 64 bits; null where it is not there. Throws ExtractError `MALFORMED`. */
  numbers(tag: number): number[] | null {
    const entry = this.#find(tag, new Set([Type.INT16, Type.INT32, Type.INT64]))
    if (entry === null) return null
    const width = ELEMENT_BYTES[entry.type] as number
    return Array.from({ length: entry.count }, (_, i) => {
      const at = entry.offset + i * width
      if (width === 8) return Number(this.#store.readBigUInt64BE(at))
      return this.#store.readUIntBE(at, width)
    })
  }

  /** The bytes of a tag; null where it is not there. Throws ExtractError `MALFORMED`. */
  binary(tag: number): Buffer | null {
    const entry = this.#find(tag, new Set([Type.BINARY]))
    return entry === null ? null : this.#store.subarray(entry.offset, entry.offset + entry.count)
  }

  #find(tag: number, types: ReadonlySet<number>): Entry | null {
    const entry = this.#entries.get(tag)
    if (entry === undefined) return null
    if (!types.has(entry.type))
      throw this.#malformed(tag, `type ${entry.type}, expected ${[...types].join(', ')}`)
    if (entry.type !== Type.BINARY && entry.count > limits.package.maxMembers) {
      throw new ExtractError(
        'LIMIT',
        `${this.#name}: tag ${tag} has ${entry.count} elements, ${limits.package.maxMembers} are allowed`,
      )
    }
    // Of strings each takes a byte at least.
    const least = entry.count * Math.max(1, ELEMENT_BYTES[entry.type] ?? 1)
    if (entry.offset + least > this.#store.byteLength) {
      throw this.#malformed(
        tag,
        `${entry.count} elements at ${entry.offset}, the store has ${this.#store.byteLength} bytes`,
      )
    }
    return entry
  }

  #malformed(tag: number, problem: string): ExtractError {
    return new ExtractError('MALFORMED', `${this.#name}: tag ${tag}: ${problem}`)
  }
}
