import { createHash } from 'node:crypto'
import type { SignedHead } from '../core/package-proof.ts'
import type { ByteStream } from './byte-stream.ts'
import type { ListedFile } from './cpio.ts'
import { RpmHeader, RpmSignatureTag as SignatureTag, RpmTag as Tag } from './rpm-header.ts'
import { ExtractError } from './types.ts'

/** What comes before the payload of an RPM package. */
export interface RpmHead {
  /** Name of the package: `kernel-core`. */
  readonly packageName: string | null
  readonly files: readonly ListedFile[]
  /** What the header says of the payload; the payload's own bytes say it too. */
  readonly compressor: string
  /** The digest that the payload, as it is stored, must have; null where the package states none that is known here. */
  readonly payloadDigest: PayloadDigest | null
  readonly signed: SignedHead
}

export interface PayloadDigest {
  readonly algorithm: string
  /** Lower-case hex. */
  readonly expected: string
  /** What is hashed in front of the payload. */
  readonly prefix: Uint8Array
}

export const RPM_MAGIC = Buffer.from([0xed, 0xab, 0xee, 0xdb])
const LEAD_BYTES = 96
const SOURCE_PACKAGE = 1
const HEADER_STYLE_SIGNATURE = 5
/** The header behind the signature begins at a multiple of eight. */
const SIGNATURE_ALIGN = 8
/** RPMFILE_GHOST of lib/rpmfiles.h. */
const GHOST = 64
/** OpenPGP's numbers of hash algorithms, as RPM uses them. */
const ALGORITHMS: Readonly<Record<number, string>> = {
  1: 'md5',
  2: 'sha1',
  8: 'sha256',
  9: 'sha384',
  10: 'sha512',
}

/**
 * Reads lead, signature header and header of an RPM package (RPM's manual, "RPM V4 package format" and "RPM V6
 * package format"), and checks the header's digest, SHA-256 or else SHA-1. The stream is left at the payload. Throws
 * ExtractError `MALFORMED`, `LIMIT`, or `UNSUPPORTED` for source and delta packages.
 */
export async function readRpmHead(stream: ByteStream): Promise<RpmHead> {
  await checkLead(stream)
  const signature = await RpmHeader.read(stream, 'RPM signature')
  const padding = (SIGNATURE_ALIGN - (signature.bytes.byteLength % SIGNATURE_ALIGN)) % SIGNATURE_ALIGN
  await stream.skip(padding, 'the padding behind the RPM signature')
  const header = await RpmHeader.read(stream, 'RPM header')
  checkHeaderDigest(header, signature, stream.name)
  const format = header.string(Tag.PAYLOAD_FORMAT) ?? 'cpio'
  if (format !== 'cpio') {
    throw new ExtractError(
      'UNSUPPORTED',
      `${stream.name}: RPM with a payload of format ${format}, expected cpio`,
    )
  }
  return {
    packageName: header.string(Tag.NAME),
    files: listFiles(header, stream.name),
    compressor: header.string(Tag.PAYLOAD_COMPRESSOR) ?? 'gzip',
    payloadDigest: payloadDigest(header, signature),
    signed: signedHead(header, signature),
  }
}

/** Digests by which a header vouches for its payload. */
const VOUCHING: ReadonlySet<string> = new Set(['sha256', 'sha384', 'sha512'])

function signedHead(header: RpmHeader, signature: RpmHeader): SignedHead {
  const binaries = (...tags: readonly number[]): Buffer[] =>
    tags.map((tag) => signature.binary(tag)).filter((found) => found !== null)
  const texts = signature.strings(SignatureTag.OPENPGP) ?? []
  return {
    name: header.string(Tag.NAME),
    version: header.string(Tag.VERSION),
    release: header.string(Tag.RELEASE),
    header: header.bytes,
    ofHeader: [
      ...texts.map((text) => Buffer.from(text, 'base64')),
      ...binaries(SignatureTag.RSA_OF_HEADER, SignatureTag.DSA_OF_HEADER),
    ],
    ofPackage: binaries(SignatureTag.RSA, SignatureTag.DSA),
    vouchesForPayload: VOUCHING.has(ownPayloadDigest(header)?.algorithm ?? ''),
  }
}

async function checkLead(stream: ByteStream): Promise<void> {
  const lead = Buffer.from(await stream.read(LEAD_BYTES, 'the RPM lead'))
  const [major, type, style] = [lead[4], lead.readUInt16BE(6), lead.readUInt16BE(78)]
  if (!lead.subarray(0, RPM_MAGIC.byteLength).equals(RPM_MAGIC)) {
    const got = lead.subarray(0, RPM_MAGIC.byteLength).toString('hex')
    throw new ExtractError('MALFORMED', `${stream.name}: RPM magic expected, got ${got}`)
  }
  if (type === SOURCE_PACKAGE) {
    throw new ExtractError('UNSUPPORTED', `${stream.name}: a source package, which has no kernel`)
  }
  if ((major !== 3 && major !== 4) || style !== HEADER_STYLE_SIGNATURE) {
    throw new ExtractError(
      'UNSUPPORTED',
      `${stream.name}: RPM lead of version ${major} with signature type ${style}, expected 3 and ${HEADER_STYLE_SIGNATURE}`,
    )
  }
}

function checkHeaderDigest(header: RpmHeader, signature: RpmHeader, name: string): void {
  const sha256 = signature.string(SignatureTag.SHA256_OF_HEADER)
  const expected = (sha256 ?? signature.string(SignatureTag.SHA1_OF_HEADER))?.toLowerCase()
  if (expected === undefined) return
  const algorithm = sha256 === null ? 'sha1' : 'sha256'
  const got = createHash(algorithm).update(header.bytes).digest('hex')
  if (got !== expected) {
    throw new ExtractError(
      'MALFORMED',
      `${name}: RPM header has ${algorithm} ${got}, its signature header states ${expected}`,
    )
  }
}

/** The payload's own digest (RPM 4.14 and later), or the MD5 of header and payload that all before 6 have. */
function payloadDigest(header: RpmHeader, signature: RpmHeader): PayloadDigest | null {
  const own = ownPayloadDigest(header)
  if (own !== null) return own
  const md5 = signature.binary(SignatureTag.MD5)?.toString('hex')
  return md5 === undefined ? null : { algorithm: 'md5', expected: md5, prefix: header.bytes }
}

function ownPayloadDigest(header: RpmHeader): PayloadDigest | null {
  const expected = header.string(Tag.PAYLOAD_DIGEST)?.toLowerCase()
  const algorithm = ALGORITHMS[header.numbers(Tag.PAYLOAD_DIGEST_ALGO)?.[0] ?? 0]
  if (expected === undefined || algorithm === undefined) return null
  return { algorithm, expected, prefix: new Uint8Array(0) }
}

function listFiles(header: RpmHeader, name: string): ListedFile[] {
  const bases = header.strings(Tag.BASE_NAMES) ?? []
  const dirs = header.strings(Tag.DIR_NAMES) ?? []
  const column = (tag: number): readonly number[] => header.numbers(tag) ?? []
  const sizes = header.numbers(Tag.LONG_FILE_SIZES) ?? column(Tag.FILE_SIZES)
  const [dirIndexes, modes, flags] = [Tag.DIR_INDEXES, Tag.FILE_MODES, Tag.FILE_FLAGS].map(column)
  const [devices, inodes] = [Tag.FILE_DEVICES, Tag.FILE_INODES].map(column)
  return bases.map((base, i) => {
    const [dir, sizeBytes, mode] = [dirs[dirIndexes?.[i] ?? -1], sizes[i], modes?.[i]]
    if (
      dir === undefined ||
      sizeBytes === undefined ||
      mode === undefined ||
      !Number.isSafeInteger(sizeBytes)
    ) {
      throw new ExtractError(
        'MALFORMED',
        `${name}: file ${i} of ${bases.length} in the RPM header has no folder, size or mode`,
      )
    }
    const isGhost = ((flags?.[i] ?? 0) & GHOST) !== 0
    // Without inodes, which every package has, each file is its own.
    const inode = `${devices?.[i] ?? 0}:${inodes?.[i] ?? `file ${i}`}`
    return { path: `${dir}${base}`, sizeBytes, mode, inode, isGhost }
  })
}
