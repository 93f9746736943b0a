import { ExtractError } from './types.ts'

const EMPTY = new Uint8Array(0)

/**
 * Reads exact amounts from a stream of chunks of any size, and says where it broke off. What it holds is what was
 * asked for and the rest of one chunk: a size that the bytes lie about costs nothing.
 */
export class ByteStream {
  /** For messages: the file, and what in it. */
  readonly name: string
  readonly #source: AsyncIterator<Uint8Array>
  #chunk: Uint8Array = EMPTY
  #position = 0

  constructor(source: AsyncIterable<Uint8Array>, name: string) {
    this.name = name
    this.#source = source[Symbol.asyncIterator]()
  }

  /** Bytes that were read or skipped. */
  get position(): number {
    return this.#position
  }

  /** The next `length` bytes without reading them; fewer where the stream ends before. */
  async peek(length: number): Promise<Uint8Array> {
    while (this.#chunk.byteLength < length) {
      const more = await this.#pull()
      if (more === null) break
      this.#chunk = this.#chunk.byteLength === 0 ? more : Buffer.concat([this.#chunk, more])
    }
    return this.#chunk.subarray(0, length)
  }

  /** Exactly `length` bytes. Throws ExtractError `MALFORMED` where the stream ends before. */
  async read(length: number, what: string): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    for await (const piece of this.take(length, what)) pieces.push(piece)
    const [first] = pieces
    return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces)
  }

  /** Reads `length` bytes for nobody. Throws ExtractError `MALFORMED` where the stream ends before. */
  async skip(length: number, what: string): Promise<void> {
    let left = length
    while (left > 0) left -= (await this.some(left, what, length)).byteLength
  }

  /** The next `length` bytes in pieces. Throws ExtractError `MALFORMED` where the stream ends before. */
  async *take(length: number, what: string): AsyncGenerator<Uint8Array, void, undefined> {
    let left = length
    while (left > 0) {
      const piece = await this.some(left, what, length)
      left -= piece.byteLength
      yield piece
    }
  }

  /** All that is left, in pieces. */
  async *rest(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const head = await this.peek(1)
      if (head.byteLength === 0) return
      yield this.#consume(this.#chunk.byteLength)
    }
  }

  /** Lets go of the source, which ends whatever makes its bytes. */
  async close(): Promise<void> {
    this.#chunk = EMPTY
    await this.#source.return?.()
  }

  /** The next bytes as they came, `atMost` of `length`. Throws ExtractError `MALFORMED` where the stream has ended. */
  async some(atMost: number, what: string, length = atMost): Promise<Uint8Array> {
    const head = await this.peek(1)
    if (head.byteLength === 0) {
      throw new ExtractError(
        'MALFORMED',
        `${this.name}: ends at byte ${this.#position}, in the middle of ${what} (${length} bytes)`,
      )
    }
    return this.#consume(atMost)
  }

  #consume(atMost: number): Uint8Array {
    const piece = this.#chunk.subarray(0, atMost)
    this.#chunk = this.#chunk.subarray(piece.byteLength)
    this.#position += piece.byteLength
    return piece
  }

  async #pull(): Promise<Uint8Array | null> {
    for (;;) {
      const { value, done } = await this.#source.next()
      if (done === true) return null
      if (value.byteLength > 0) return value
    }
  }
}
