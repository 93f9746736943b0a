import { limits } from '../core/limits.ts'
import { BtfError } from './errors.ts'

/** Collects strings, each once, in the order of their first use. Offset 0 is the empty string. */
export class StringBuilder {
  readonly #offsets = new Map<string, number>([['', 0]])
  readonly #parts: string[] = ['']
  #sizeBytes = 1

  /**
   * The offset of a string, which is added where it is new. Each character is one byte, as in `StringTable`. Throws
   * BtfError `MALFORMED` for a string that no reader would give back.
   */
  add(text: string): number {
    const known = this.#offsets.get(text)
    if (known !== undefined) return known
    if (text.length > limits.btf.maxNameBytes || /[^\x01-\xff]/.test(text)) {
      throw new BtfError(
        'MALFORMED',
        `name ${JSON.stringify(text.slice(0, 80))}: expected ${limits.btf.maxNameBytes} bytes or fewer, none of them NUL`,
      )
    }
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
