import { DigestTap, type Sha256 } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { ExtractError, type ExtractInput, type ExtractOptions } from './types.ts'

/**
 * The bytes that come from outside: hashed, counted and bounded as they pass, once, whoever reads them. Leaving a
 * loop over {@link Input.chunks} does not end the source: {@link Input.close} does.
 */
export class Input {
  readonly name: string
  readonly #source: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal
  readonly #onProgress: ExtractOptions['onProgress']
  readonly #tap = new DigestTap()
  #phase = 'reading'
  #ended = false
  #closed = false
  #failure: Error | null = null

  constructor(input: ExtractInput, options: Pick<ExtractOptions, 'signal' | 'onProgress'>) {
    this.name = input.name
    this.#source = input.bytes[Symbol.asyncIterator]()
    this.#signal = options.signal
    this.#onProgress = options.onProgress
  }

  get bytesRead(): number {
    return this.#tap.sizeBytes
  }

  /** Tells whoever listens that another phase begins. */
  enter(phase: string): void {
    this.#phase = phase
    this.#onProgress?.(phase, this.bytesRead)
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk = await this.#next()
      if (chunk === null) return
      yield chunk
    }
  }

  /** Digest of the whole input, once; null where its end was not reached. */
  digest(): Sha256 | null {
    return this.#ended ? this.#tap.digest() : null
  }

  async close(): Promise<void> {
    this.#closed = true
    // A source that hangs in next() would hold return() up too: whoever aborts does not wait for it.
    const closed = Promise.resolve(this.#source.return?.()).catch(() => undefined)
    if (!this.#signal.aborted) await closed
  }

  async #next(): Promise<Uint8Array | null> {
    // A generator that threw says "done" when it is asked again, which must not pass for the end of the file.
    if (this.#failure !== null) throw this.#failure
    if (this.#ended || this.#closed) return null
    const { value, done } = await abortable(this.#source.next(), this.#signal).catch((err: unknown) => {
      this.#failure = err instanceof Error ? err : new Error(String(err))
      throw this.#failure
    })
    if (done === true) {
      this.#ended = true
      return null
    }
    this.#tap.update(value)
    if (this.bytesRead > limits.package.maxBytes) {
      throw new ExtractError(
        'LIMIT',
        `${this.name}: more than ${limits.package.maxBytes} bytes, which no package has`,
      )
    }
    this.#onProgress?.(this.#phase, this.bytesRead)
    return value
  }
}

/** A promise that does not outlast a signal. Unlike Promise.race, it leaves nothing behind on the signal. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
