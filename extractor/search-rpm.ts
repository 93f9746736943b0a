import { ByteStream } from './byte-stream.ts'
import { CODEC_MAGIC_BYTES, codecOf, decompress } from './codec.ts'
import { isCpio, type ListedFile, readCpio } from './cpio.ts'
import { limits } from '../core/limits.ts'
import type { Found, Job, Surroundings } from './found.ts'
import { candidateAt } from './members.ts'
import type { PayloadProof } from '../core/package-proof.ts'
import { PayloadCheck } from './payload-check.ts'
import { readRpmHead, type RpmHead } from './rpm.ts'
import { noKernel, type Open, searchArchive, severalKernels } from './search-archive.ts'
import { ExtractError } from './types.ts'

/**
 * Looks for a kernel in an RPM package. Its header lists all files, so that nothing of the payload is unpacked where
 * the kernel is not among them, and nothing behind the last file that could be it.
 */
export async function searchRpm(
  file: ByteStream,
  job: Job,
  where: Surroundings,
  open: Open,
): Promise<Found | null> {
  const head = await readJudgedHead(file, job, where)
  const wanted = chooseKernel(head.files, job.release, file.name)
  const payload = new ByteStream(await unpackPayload(file, head, job, where), file.name)
  try {
    const entries = readCpio(payload, head.files)
    const archive = { name: file.name, entries, candidates: wanted.files }
    const inner = { ...where, inPackage: true, packageName: head.packageName }
    return await searchArchive(archive, { ...job, release: wanted.release }, inner, open)
  } finally {
    await payload.close()
  }
}

/** The kernel that is wanted, or the only one, and how many of the package's files could be it. */
function chooseKernel(
  files: readonly ListedFile[],
  release: string | null,
  name: string,
): { readonly release: string; readonly files: number } {
  const counts = new Map<string, Set<string>>()
  for (const { path, sizeBytes, isGhost, inode } of files) {
    const candidate = isGhost || sizeBytes === 0 ? null : candidateAt(path)
    if (candidate?.role !== 'kernel') continue
    const inodes = counts.get(candidate.release) ?? new Set()
    counts.set(candidate.release, inodes.add(inode))
  }
  const releases = [...counts.keys()]
  if (release === null && releases.length > 1) throw severalKernels(name, releases.slice(0, 10))
  const chosen = release ?? releases[0]
  const inodes = chosen === undefined ? undefined : counts.get(chosen)
  if (chosen === undefined || inodes === undefined) throw noKernel(name, release, new Set(releases))
  return { release: chosen, files: inodes.size }
}

/** A package's head, and what has to see the payload for it to be believed. */
export interface JudgedHead extends RpmHead {
  readonly proof: PayloadProof | null
}

/** Reads the head of a package; that of the input itself is judged first. Throws as `readRpmHead`, and what the judge throws. */
export async function readJudgedHead(
  file: ByteStream,
  job: Pick<Job, 'judgeHead'>,
  where: Pick<Surroundings, 'isInput'>,
): Promise<JudgedHead> {
  const head = await readRpmHead(file)
  const proof = where.isInput ? await job.judgeHead?.(head.signed) : null
  return { ...head, proof: proof ?? null }
}

/** The payload of a package whose head was read, unpacked. Throws ExtractError `MALFORMED` or `UNSUPPORTED`. */
export async function unpackPayload(
  file: ByteStream,
  head: JudgedHead,
  job: Pick<Job, 'jobs' | 'signal' | 'onPayload'>,
  where: Pick<Surroundings, 'isInput'>,
): Promise<AsyncIterable<Uint8Array>> {
  const magic = await file.peek(CODEC_MAGIC_BYTES)
  const codec = isCpio(magic) ? null : codecOf(magic, file.name)
  if (codec === null && !isCpio(magic)) {
    const got = Buffer.from(magic).toString('hex')
    const text = `payload at byte ${file.position}, ${head.compressor} by its header, starts with ${got || 'nothing'}`
    throw new ExtractError(
      magic.byteLength === 0 ? 'MALFORMED' : 'UNSUPPORTED',
      `${file.name}: ${text}, which is no compression that we know of`,
    )
  }
  const stored = checked(file, head, job, where)
  if (codec === null) return stored
  return decompress(codec, stored, {
    name: `${file.name}: payload`,
    signal: job.signal,
    maxBytes: limits.package.maxUnpackedBytes,
    threads: job.jobs,
  })
}

/** The payload as it is stored, hashed where the rest of it will be read too: in a file that is the input itself. */
function checked(
  file: ByteStream,
  head: JudgedHead,
  job: Pick<Job, 'onPayload'>,
  where: Pick<Surroundings, 'isInput'>,
): AsyncIterable<Uint8Array> {
  const { payloadDigest, proof } = head
  if ((payloadDigest === null && proof === null) || !where.isInput) return file.rest()
  const check = new PayloadCheck(payloadDigest, proof, file.name)
  job.onPayload(check)
  return check.tap(file.rest())
}
