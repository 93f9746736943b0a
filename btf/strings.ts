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

  /**
   * True where every string of this table could be a name: none longer than `limits.btf.maxNameBytes`, no control
   * characters in any. One look at each byte, where asking for each name would take ten times as long.
   */
  hasOnlyNames(): boolean {
    const { bytes } = this
    let length = 0
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i] as number
      if (byte === 0) length = 0
      else if (byte < 0x20 || byte === 0x7f || ++length > limits.btf.maxNameBytes) return false
    }
    return true
  }
}
