import { limits } from '../core/limits.ts'
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
    if (base === null && size === 0) {
      throw new BtfError(
        'MALFORMED',
        'string section: empty, expected at least a NUL (split BTF may have none: give its base)',
      )
    }
    if (size > 0 && bytes[size - 1] !== 0) {
      throw new BtfError('MALFORMED', `string section: byte ${size - 1}, the last, is no NUL`)
    }
    if (base === null && bytes[0] !== 0) {
      throw new BtfError(
        'NEEDS_BASE',
        'string section: starts with no NUL, as that of split BTF: give its base',
      )
    }
  }

  /** Offset behind the last byte. */
  get end(): number {
    return this.start + this.bytes.byteLength
  }

  /** The string at an offset. Throws BtfError `MALFORMED` where there is none, or one longer than any name. */
  at(offset: number): string {
    const table = this.tableOf(offset)
    if (table === null) {
      throw new BtfError('MALFORMED', `string offset ${offset}: the section ends at ${this.end}`)
    }
    const from = offset - table.start
    const to = table.bytes.indexOf(0, from)
    if (to - from > limits.btf.maxNameBytes) {
      throw new BtfError(
        'MALFORMED',
        `string offset ${offset}: ${to - from} bytes to the next NUL, expected ${limits.btf.maxNameBytes} or fewer`,
      )
    }
    return table.bytes.toString('latin1', from, to)
  }

  /** The table that has an offset: this one or one below it; null where none has. */
  tableOf(offset: number): StringTable | null {
    if (!(offset >= 0 && offset < this.end)) return null
    if (offset >= this.start) return this
    return this.base?.tableOf(offset) ?? null
  }

  /** Bytes of the longest string, from one NUL to the next; of this table alone. */
  longestBytes(): number {
    let longest = 0
    for (let from = 0; from < this.bytes.byteLength;) {
      const to = this.bytes.indexOf(0, from)
      longest = Math.max(longest, to - from)
      from = to + 1
    }
    return longest
  }
}
