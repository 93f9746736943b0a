import { CrawlError } from '../types.ts'
import { splitStanzas } from './control.ts'

const NEWLINE = 0x0a

/**
 * The stanzas of a `Packages` file that have `needle` in them, as text. Works on bytes: of 60,000 stanzas some hundred
 * are ever decoded. Holds one stanza, of at most `maxStanzaBytes`; throws `MALFORMED` where one is longer.
 */
export async function* stanzasWith(
  needle: string,
  chunks: AsyncIterable<Uint8Array>,
  maxStanzaBytes: number,
): AsyncGenerator<string> {
  const wanted = Buffer.from(needle)
  let carry: Buffer = Buffer.alloc(0)
  let offset = 0
  for await (const chunk of chunks) {
    // The last byte of what is carried is looked at again: a blank line may straddle two chunks.
    let seen = Math.max(0, carry.byteLength - 1)
    const bytes = carry.byteLength === 0 ? asBuffer(chunk) : Buffer.concat([carry, chunk])
    let start = 0
    for (;;) {
      const end = bytes.indexOf('\n\n', seen)
      if (end < 0) break
      yield* matching(bytes.subarray(start, end), wanted)
      start = end + 2
      while (bytes[start] === NEWLINE) start++
      seen = start
    }
    carry = Buffer.from(bytes.subarray(start))
    offset += chunk.byteLength
    if (carry.byteLength > maxStanzaBytes) {
      const at = offset - carry.byteLength
      throw new CrawlError(
        'MALFORMED',
        `stanza at byte ${at}: expected at most ${maxStanzaBytes} bytes, got ${carry.byteLength}`,
      )
    }
  }
  yield* matching(carry, wanted)
}

function* matching(stanza: Buffer, needle: Buffer): Generator<string> {
  if (!stanza.includes(needle)) return
  // A line of blanks parts stanzas too, and is too rare to be looked for in all bytes.
  for (const text of splitStanzas(stanza.toString('utf8'))) {
    if (text.includes(needle.toString())) yield text
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
