import { BtfError } from './errors.ts'

export type Endian = 'little' | 'big'

/** Byte order of the machine that we run on. */
export const hostEndian: Endian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 'little' : 'big'

/** Reads integers of either byte order; every read is checked against the bytes that are there. */
export class ByteReader {
  readonly bytes: Uint8Array
  readonly endian: Endian
  readonly #view: DataView
  readonly #what: string

  /** `what` names the thing in messages: `ELF header`. */
  constructor(bytes: Uint8Array, endian: Endian, what: string) {
    this.bytes = bytes
    this.endian = endian
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  u8(offset: number): number {
    return this.#view.getUint8(this.#check(offset, 1))
  }

  u16(offset: number): number {
    return this.#view.getUint16(this.#check(offset, 2), this.endian === 'little')
  }

  u32(offset: number): number {
    return this.#view.getUint32(this.#check(offset, 4), this.endian === 'little')
  }

  /** A u64 that must fit a file offset: above 2^53 it is refused. */
  u64(offset: number): number {
    const value = this.#view.getBigUint64(this.#check(offset, 8), this.endian === 'little')
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new BtfError('MALFORMED', `${this.#what}: ${value} at byte ${offset} is no offset or size`)
    }
    return Number(value)
  }

  /** A u64 as an address: bits, not an amount. */
  address(offset: number): bigint {
    return this.#view.getBigUint64(this.#check(offset, 8), this.endian === 'little')
  }

  slice(offset: number, length: number): Uint8Array {
    this.#check(offset, length)
    return this.bytes.subarray(offset, offset + length)
  }

  #check(offset: number, length: number): number {
    if (offset < 0 || length < 0 || offset + length > this.bytes.byteLength) {
      throw new BtfError(
        'MALFORMED',
        `${this.#what}: ${length} bytes wanted at byte ${offset}, ${this.bytes.byteLength} are there`,
      )
    }
    return offset
  }
}

/** Words of native byte order over `bytes`, whose length is a multiple of 4; copied only where it must be. */
export function toWords(bytes: Uint8Array, endian: Endian): Uint32Array {
  if (endian === hostEndian && bytes.byteOffset % 4 === 0) {
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2)
  }
  const aligned = new Uint8Array(bytes)
  if (endian !== hostEndian) Buffer.from(aligned.buffer).swap32()
  return new Uint32Array(aligned.buffer)
}

/** The inverse of {@link toWords}: always a copy. */
export function fromWords(words: Uint32Array, endian: Endian): Uint8Array {
  const bytes = new Uint8Array(words.byteLength)
  new Uint32Array(bytes.buffer).set(words)
  if (endian !== hostEndian) Buffer.from(bytes.buffer).swap32()
  return bytes
}
