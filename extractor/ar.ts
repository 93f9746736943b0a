import type { ByteStream } from './byte-stream.ts'
import { limits } from '../core/limits.ts'
import { ExtractError } from './types.ts'

/** One file of an archive. Its body can be read until the next one is asked for. */
export interface ArMember {
  readonly name: string
  readonly sizeBytes: number
  body(): AsyncIterable<Uint8Array>
}

export const AR_MAGIC = '!<arch>\n'
const HEADER_BYTES = 60

/**
 * The members of an `ar` archive in their order: the common format (ar(5), deb(5)), names of BSD (`#1/LENGTH`) read,
 * GNU's name table passed over as a member of the name `//`. Throws ExtractError `MALFORMED` or `LIMIT`.
 */
export async function* readAr(stream: ByteStream): AsyncGenerator<ArMember, void, undefined> {
  const magic = text(await stream.read(AR_MAGIC.length, 'the ar magic'))
  if (magic !== AR_MAGIC) {
    throw new ExtractError('MALFORMED', `${stream.name}: ar magic expected, got ${JSON.stringify(magic)}`)
  }
  for (let count = 0; (await stream.peek(1)).byteLength > 0; count++) {
    if (count >= limits.package.maxMembers) throw tooMany(stream)
    const at = stream.position
    const header = text(await stream.read(HEADER_BYTES, 'an ar header'))
    const size = /^(\d{1,10}) *$/.exec(header.slice(48, 58))?.[1]
    if (header.slice(58) !== '`\n' || size === undefined) {
      throw new ExtractError('MALFORMED', `${stream.name}: no ar header at byte ${at}`)
    }
    const stored = Number(size)
    const bsd = /^#1\/(\d{1,5}) *$/.exec(header.slice(0, 16))?.[1]
    const nameBytes = Number(bsd ?? 0)
    if (nameBytes > stored || nameBytes > limits.package.maxHeaderBytes) {
      throw new ExtractError('MALFORMED', `${stream.name}: ar name of ${nameBytes} bytes at byte ${at}`)
    }
    const name =
      bsd === undefined
        ? header
            .slice(0, 16)
            .replace(/ +$/, '')
            .replace(/(.)\/$/, '$1')
        : text(await stream.read(nameBytes, 'an ar name')).replace(/\0+$/, '')
    const sizeBytes = stored - nameBytes
    const end = stream.position + sizeBytes
    yield { name, sizeBytes, body: () => stream.take(sizeBytes, `ar member ${name}`) }
    await stream.skip(end - stream.position, `ar member ${name}`)
    // Members start at even bytes; the last one's padding may be missing.
    if (stored % 2 === 1 && (await stream.peek(1)).byteLength > 0) await stream.skip(1, 'ar padding')
  }
}

function tooMany(stream: ByteStream): ExtractError {
  return new ExtractError('LIMIT', `${stream.name}: more than ${limits.package.maxMembers} members`)
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}
