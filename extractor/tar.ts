import type { ArchiveEntry } from './archive.ts'
import type { ByteStream } from './byte-stream.ts'
import { limits } from '../core/limits.ts'
import { ExtractError } from './types.ts'

const BLOCK_BYTES = 512

/** True where bytes start like a tar archive: `ustar` at 257, as POSIX and GNU write it. */
export function isTar(head: Uint8Array): boolean {
  return head.byteLength >= BLOCK_BYTES && latin1(head, 257, 262) === 'ustar'
}

/**
 * The entries of a tar archive in their order: ustar, GNU long names and base-256 sizes, pax `path` and `size`
 * (POSIX.1-2001 pax, GNU tar manual "Basic Tar Format"). Written by hand because tar-stream gathers an extended
 * header of whatever size it claims to have, and is fed, where here the reader decides how far to read; both take the
 * same time.
 * Throws ExtractError `MALFORMED` or `LIMIT`.
 */
export async function* readTar(stream: ByteStream): AsyncGenerator<ArchiveEntry, void, undefined> {
  let extended: Extended = {}
  for (let count = 0; ; count++) {
    if (count >= limits.package.maxMembers) {
      throw new ExtractError('LIMIT', `${stream.name}: more than ${limits.package.maxMembers} tar entries`)
    }
    // A missing end marker is usual where archives were cut by block; a part of a header is not.
    if ((await stream.peek(1)).byteLength === 0) return
    const at = stream.position
    const header = await stream.read(BLOCK_BYTES, 'a tar header')
    if (header.every((byte) => byte === 0)) return
    checkSum(header, stream.name, at)
    const type = String.fromCharCode(header[156] as number)
    const sizeBytes = extended.sizeBytes ?? number(header, 124, 136, stream.name, at)
    const paddedEnd = stream.position + Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES

    if (type === 'x' || type === 'L') {
      const record = await extension(stream, sizeBytes, at)
      extended = {
        ...extended,
        ...(type === 'x' ? parsePax(record, stream.name, at) : { path: untilNul(record) }),
      }
    } else if (type !== 'g' && type !== 'K') {
      const path = extended.path ?? ustarPath(header)
      extended = {}
      yield { path, aliases: [], kind: kindOf(type), sizeBytes, body: () => stream.take(sizeBytes, path) }
    }
    await stream.skip(paddedEnd - stream.position, 'tar data')
  }
}

/** What the extended headers in front of an entry say about it. */
interface Extended {
  readonly path?: string
  readonly sizeBytes?: number
}

function kindOf(type: string): ArchiveEntry['kind'] {
  if (type === '0' || type === '\0' || type === '7') return 'file'
  return type === '1' || type === '2' ? 'link' : 'other'
}

async function extension(stream: ByteStream, sizeBytes: number, at: number): Promise<Uint8Array> {
  if (sizeBytes > limits.package.maxHeaderBytes) {
    throw new ExtractError('LIMIT', `${stream.name}: tar header of ${sizeBytes} bytes at byte ${at}`)
  }
  return await stream.read(sizeBytes, 'an extended tar header')
}

/** Records `LENGTH KEY=VALUE\n`, the length counting all of it in bytes. */
function parsePax(bytes: Uint8Array, name: string, offset: number): Extended {
  const found: { path?: string; sizeBytes?: number } = {}
  for (let at = 0; at < bytes.byteLength;) {
    const match = /^(\d{1,7}) ([^=]+)=/.exec(latin1(bytes, at, at + 300))
    const length = Number(match?.[1] ?? 0)
    if (match === null || length < match[0].length + 1 || at + length > bytes.byteLength) {
      throw new ExtractError('MALFORMED', `${name}: pax record ${at} bytes into the header at byte ${offset}`)
    }
    const value = Buffer.from(bytes.subarray(at + match[0].length, at + length - 1)).toString('utf8')
    if (match[2] === 'path') found.path = value
    if (match[2] === 'size') {
      if (!/^\d{1,15}$/.test(value)) {
        throw new ExtractError('MALFORMED', `${name}: pax size ${JSON.stringify(value)} at byte ${offset}`)
      }
      found.sizeBytes = Number(value)
    }
    at += length
  }
  return found
}

function ustarPath(header: Uint8Array): string {
  const path = untilNul(header.subarray(0, 100))
  const prefix = latin1(header, 257, 263) === 'ustar\0' ? untilNul(header.subarray(345, 500)) : ''
  return prefix === '' ? path : `${prefix}/${path}`
}

/** Octal digits, or GNU's base 256 where the first bit is set. */
function number(header: Uint8Array, start: number, end: number, name: string, at: number): number {
  const field = header.subarray(start, end)
  const isBinary = ((field[0] as number) & 0x80) !== 0
  const digits = latin1(field, 0, field.byteLength)
    .replace(/[\0 ]+$/, '')
    .trimStart()
  const value = isBinary
    ? field.reduce((sum, byte, i) => sum * 256 + (i === 0 ? byte & 0x7f : byte), 0)
    : digits === ''
      ? 0
      : /^[0-7]+$/.test(digits)
        ? parseInt(digits, 8)
        : NaN
  if (!Number.isSafeInteger(value) || value > limits.package.maxUnpackedBytes) {
    throw new ExtractError(
      'MALFORMED',
      `${name}: size ${JSON.stringify(digits)} in the tar header at byte ${at}`,
    )
  }
  return value
}

/** The sum of all bytes, the sum's own field taken as blanks; some writers summed signed bytes. */
function checkSum(header: Uint8Array, name: string, at: number): void {
  let unsigned = 0
  let signed = 0
  for (let i = 0; i < BLOCK_BYTES; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : (header[i] as number)
    unsigned += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  const stated = parseInt(latin1(header, 148, 156).replace(/\0/g, ' ').trim(), 8)
  if (stated !== unsigned && stated !== signed) {
    throw new ExtractError('MALFORMED', `${name}: no tar header at byte ${at} (its checksum does not hold)`)
  }
}

function untilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8')
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', start, end)
}
