/** A signature over a document, as its packet has it. RFC 4880 5.2, RFC 9580 5.2. */
export interface DataSignature {
  /** 3 or 4; RPM's packages had version 3 until about 2020. */
  readonly version: 3 | 4
  readonly publicKeyAlgorithm: number
  readonly hashAlgorithm: number
  readonly created: Date
  /** When it ends to count; null where it does not. */
  readonly expires: Date | null
  /** Upper-case hex. */
  readonly issuer: string
  /** What is hashed behind the document. */
  readonly trailer: Uint8Array
  /** The first two bytes of the digest. */
  readonly left: Uint8Array
  /** The algorithm's own numbers, big-endian, without leading zeros; one without a length in front is the last. */
  readonly numbers: readonly Uint8Array[]
}

const SIGNATURE_TAG = 2
const BINARY_DOCUMENT = 0x00
const Subpacket = { CREATED: 2, EXPIRES: 3, ISSUER: 16, NOTATION: 20, FINGERPRINT: 33 } as const
/** That say nothing which would matter for a document's signature; others that are critical have to be understood. */
const HARMLESS: ReadonlySet<number> = new Set([...Object.values(Subpacket), 27])
/** Ed25519 and Ed448 have their bytes as they are (RFC 9580 5.2.3.4). */
const NATIVE_BYTES: Readonly<Record<number, number>> = { 27: 64, 28: 114 }

/** What cannot be used; the message says why. */
export class UnusableSignature extends Error {}

/**
 * The signatures over documents in some packets. Each that is none, of a version or kind that is not read, or broken, is an
 * {@link UnusableSignature}: never does one hide another.
 */
export function parseSignatures(bytes: Uint8Array): readonly (DataSignature | UnusableSignature)[] {
  const found: (DataSignature | UnusableSignature)[] = []
  let reader = new Reader(bytes)
  while (reader.left > 0) {
    try {
      const packet = readPacket(reader)
      if (packet.tag === SIGNATURE_TAG) found.push(attempt(() => parseBody(packet.body)))
    } catch (err) {
      found.push(asUnusable(err))
      reader = new Reader(new Uint8Array(0))
    }
  }
  return found
}

function attempt(parse: () => DataSignature): DataSignature | UnusableSignature {
  try {
    return parse()
  } catch (err) {
    return asUnusable(err)
  }
}

function asUnusable(err: unknown): UnusableSignature {
  if (err instanceof UnusableSignature) return err
  throw err
}

/** Packet headers of both kinds, of a length that is known. */
function readPacket(reader: Reader): { readonly tag: number; readonly body: Uint8Array } {
  const first = reader.byte()
  if ((first & 0x80) === 0) throw new UnusableSignature('no OpenPGP packet')
  if ((first & 0x40) === 0) {
    const lengthBytes = [1, 2, 4][first & 3]
    if (lengthBytes === undefined) throw new UnusableSignature('a packet without a length')
    return { tag: (first >> 2) & 0xf, body: reader.take(reader.number(lengthBytes)) }
  }
  const length = readLength(reader)
  if (length === null) throw new UnusableSignature('a packet in parts')
  return { tag: first & 0x3f, body: reader.take(length) }
}

/** One, two or five bytes; null for what is no length of a whole. */
function readLength(reader: Reader, partial = true): number | null {
  const first = reader.byte()
  if (first < 192) return first
  if (first === 255) return reader.number(4)
  if (partial && first >= 224) return null
  return ((first - 192) << 8) + reader.byte() + 192
}

function parseBody(body: Uint8Array): DataSignature {
  const reader = new Reader(body)
  const version = reader.byte()
  if (version === 3) return parseVersion3(reader)
  if (version === 4) return parseVersion4(reader, body)
  throw new UnusableSignature(`a signature of version ${version}`)
}

function parseVersion3(reader: Reader): DataSignature {
  const hashedBytes = reader.byte()
  if (hashedBytes !== 5) throw new UnusableSignature('a signature of version 3 that is none')
  const trailer = reader.take(hashedBytes)
  const fields = new Reader(trailer)
  checkType(fields.byte())
  const created = dateOf(fields.number(4))
  const issuer = hexOf(reader.take(8))
  return { version: 3, trailer, created, expires: null, issuer, ...readNumbers(reader) }
}

function parseVersion4(reader: Reader, body: Uint8Array): DataSignature {
  checkType(reader.byte())
  const algorithms = new Reader(reader.take(2))
  const hashed = [...subpackets(reader.take(reader.number(2)))]
  const hashedEnd = body.byteLength - reader.left
  const unhashed = [...subpackets(reader.take(reader.number(2)))]
  const strange = hashed.find(({ type, critical }) => critical && !HARMLESS.has(type))
  if (strange !== undefined) throw new UnusableSignature(`critical subpacket ${strange.type}`)
  const last = (type: number, from = hashed): Uint8Array | undefined =>
    from.filter((one) => one.type === type).at(-1)?.data
  const created = numberOf(last(Subpacket.CREATED))
  if (created === null) throw new UnusableSignature('a signature that does not say when it was made')
  const seconds = numberOf(last(Subpacket.EXPIRES)) ?? 0
  const everywhere = [...unhashed, ...hashed]
  const fingerprint = last(Subpacket.FINGERPRINT, everywhere)
  // Of a key of version 4 the fingerprint ends with the id.
  const issuer = last(Subpacket.ISSUER, everywhere) ?? fingerprint?.subarray(1).slice(-8)
  if (issuer?.byteLength !== 8) throw new UnusableSignature('a signature that does not say by whom it is')
  const end = Buffer.alloc(6)
  end.set([4, 0xff])
  end.writeUInt32BE(hashedEnd, 2)
  return {
    version: 4,
    trailer: Buffer.concat([body.subarray(0, hashedEnd), end]),
    created: dateOf(created),
    expires: seconds === 0 ? null : dateOf(created + seconds),
    issuer: hexOf(issuer),
    ...readNumbers(reader, algorithms),
  }
}

function checkType(type: number): void {
  if (type !== BINARY_DOCUMENT) throw new UnusableSignature(`a signature of type ${type}, of no document`)
}

/** Algorithms, the digest's beginning and the numbers; version 4 has its algorithms earlier. */
function readNumbers(
  reader: Reader,
  algorithms: Reader = reader,
): Pick<DataSignature, 'publicKeyAlgorithm' | 'hashAlgorithm' | 'left' | 'numbers'> {
  const publicKeyAlgorithm = algorithms.byte()
  const hashAlgorithm = algorithms.byte()
  const left = reader.take(2)
  const numbers: Uint8Array[] = []
  const native = NATIVE_BYTES[publicKeyAlgorithm]
  if (native !== undefined) numbers.push(reader.take(native))
  else while (reader.left > 0) numbers.push(reader.take((reader.number(2) + 7) >> 3))
  return { publicKeyAlgorithm, hashAlgorithm, left, numbers }
}

interface SubpacketData {
  readonly type: number
  readonly critical: boolean
  readonly data: Uint8Array
}

function* subpackets(bytes: Uint8Array): Generator<SubpacketData> {
  const reader = new Reader(bytes)
  while (reader.left > 0) {
    const all = reader.take(readLength(reader, false) ?? 0)
    const type = all[0]
    if (type === undefined) throw new UnusableSignature('an empty subpacket')
    yield { type: type & 0x7f, critical: (type & 0x80) !== 0, data: all.subarray(1) }
  }
}

function numberOf(data: Uint8Array | undefined): number | null {
  return data?.byteLength === 4 ? Buffer.from(data).readUInt32BE() : null
}

function dateOf(seconds: number): Date {
  return new Date(seconds * 1000)
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase()
}

/** Reads forward, never past the end. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.byteLength - this.#at
  }

  byte(): number {
    return this.take(1)[0] ?? 0
  }

  /** Big-endian, of up to four bytes. */
  number(width: number): number {
    return this.take(width).reduce((value, byte) => value * 256 + byte, 0)
  }

  take(count: number): Uint8Array {
    if (count > this.left) throw new UnusableSignature('a signature that is cut off')
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }
}
