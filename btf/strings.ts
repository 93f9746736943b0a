import { BtfError } from './errors.ts'

/**
 * A string section. Names are bytes: they are read as Latin-1, which keeps every byte and costs no decoding; real
 * names are ASCII. Offsets below `baseBytes` belong to the base of a split BTF.
 */
export class StringTable {
  readonly bytes: Buffer
  readonly base: StringTable | null
  /** Offset of this table's first byte in the numbering that the types use. */
  readonly start: number

  /** Throws BtfError `MALFORMED` or `NEEDS_BASE` where the section is not framed by NULs as libbpf wants it. */
  constructor(bytes: Uint8Array, base: StringTable | null) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.base = base
    this.start = base === null ? 0 : base.end
    const size = bytes.byteLength
    if (base === null && size === 0)
      throw new BtfError('MALFORMED', 'string section: empty, expected at least a NUL')
    if (size > 0 && bytes[size - 1] !== 0)
      throw new BtfError('MALFORMED', 'string section: does not end with a NUL')
    if (base === null && bytes[0] !== 0) {
      throw new BtfError(
        'NEEDS_BASE',
        'string section: does not start with a NUL, as that of a split BTF; give its base',
      )
    }
  }

  /** Offset behind the last byte. */
  get end(): number {
    return this.start + this.bytes.byteLength
  }

  /** The string at an offset. Throws BtfError `MALFORMED` where there is none. */
  at(offset: number): string {
    if (offset < this.start && this.base !== null) return this.base.at(offset)
    const from = offset - this.start
    if (from < 0 || from >= this.bytes.byteLength) {
      throw new BtfError('MALFORMED', `string offset ${offset}: the section ends at ${this.end}`)
    }
    return this.bytes.toString('latin1', from, this.bytes.indexOf(0, from))
  }
}

/** Collects strings, each once, in the order of their first use. Offset 0 is the empty string. */
export class StringBuilder {
  readonly #offsets = new Map<string, number>([['', 0]])
  readonly #parts: string[] = ['']
  #sizeBytes = 1

  /** The offset of a string, which is added where it is new. */
  add(text: string): number {
    const known = this.#offsets.get(text)
    if (known !== undefined) return known
    const offset = this.#sizeBytes
    this.#offsets.set(text, offset)
    this.#parts.push(text)
    this.#sizeBytes += text.length + 1
    return offset
  }

  /** The section's bytes. */
  finish(): Uint8Array {
    return Buffer.from(`${this.#parts.join('\0')}\0`, 'latin1')
  }
}
