import type { Readable, Writable } from 'node:stream'

/** What a source threw, told apart from what its reader says about the missing bytes. */
export class SourceFailure extends Error {
  constructor(cause: unknown) {
    super('the source failed', { cause })
  }
}

/**
 * Writes `source` into `sink` while giving what comes out of `output`. Leaving the loop ends both streams and the
 * reading of the source, at once. Throws {@link SourceFailure} where the source failed, else what `output` threw.
 */
export async function* pump(
  source: AsyncIterable<Uint8Array>,
  sink: Writable,
  output: Readable,
): AsyncGenerator<Uint8Array, void, undefined> {
  const feed = new Feed(source, sink)
  try {
    try {
      yield* output as AsyncIterable<Uint8Array>
    } finally {
      feed.stop()
      output.destroy()
      sink.destroy()
      await feed.done
    }
  } catch (err) {
    // What the reader says of missing bytes is only the consequence.
    throw feed.failure ?? err
  }
  if (feed.failure !== null) throw feed.failure
}

class Feed {
  readonly done: Promise<void>
  failure: SourceFailure | null = null
  #stopped = false

  constructor(source: AsyncIterable<Uint8Array>, sink: Writable) {
    // A reader that has enough closes its end: EPIPE is no failure.
    sink.on('error', () => undefined)
    this.done = this.#run(source, sink)
  }

  stop(): void {
    this.#stopped = true
  }

  async #run(source: AsyncIterable<Uint8Array>, sink: Writable): Promise<void> {
    try {
      for await (const chunk of source) {
        if (this.#stopped || sink.destroyed) break
        if (!sink.write(chunk)) await drained(sink)
      }
    } catch (err) {
      this.failure = new SourceFailure(err)
    }
    sink.end()
  }
}

function drained(sink: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (sink.destroyed) return resolve()
    const settle = (): void => {
      sink.off('drain', settle)
      sink.off('close', settle)
      resolve()
    }
    sink.on('drain', settle)
    sink.on('close', settle)
  })
}
