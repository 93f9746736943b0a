import { limits } from '../core/limits.ts'
import type { ArchiveEntry } from './archive.ts'
import { readAr } from './ar.ts'
import { ByteStream } from './byte-stream.ts'
import { decompress } from './codec.ts'
import { readCpio } from './cpio.ts'
import type { Job } from './found.ts'
import { KIND_BYTES, kindOf } from './kind.ts'
import { readJudgedHead, unpackPayload } from './search-rpm.ts'
import { readTar } from './tar.ts'
import { ExtractError } from './types.ts'

/**
 * All entries of a package in their order: of an RPM's payload, of a Debian package's data, of a tar, compressed or not.
 * Throws ExtractError; `UNSUPPORTED` where the file is none of these.
 */
export async function* packageEntries(
  file: ByteStream,
  job: Pick<Job, 'jobs' | 'signal' | 'onPayload' | 'judgeHead'>,
  depth = 0,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  if (depth > limits.package.maxDepth) {
    throw new ExtractError('LIMIT', `${file.name}: wrapped more than ${limits.package.maxDepth} times`)
  }
  const kind = kindOf(await file.peek(KIND_BYTES), file.name)
  if (kind === 'tar') return yield* readTar(file)
  if (kind === 'rpm') {
    const where = { isInput: depth === 0 }
    const head = await readJudgedHead(file, job, where)
    const payload = await unpackPayload(file, head, job, where)
    return yield* within(payload, file.name, (stream) => readCpio(stream, head.files))
  }
  if (kind === 'ar') {
    for await (const member of readAr(file)) {
      if (!member.name.startsWith('data.tar')) continue
      const name = `${file.name}: ${member.name}`
      return yield* within(member.body(), name, (stream) => packageEntries(stream, job, depth + 1))
    }
    throw new ExtractError('MALFORMED', `${file.name}: Debian package without data.tar`)
  }
  if (typeof kind === 'string') {
    throw new ExtractError('UNSUPPORTED', `${file.name}: no package: modules come out of rpm, deb or tar`)
  }
  const unpacked = decompress(kind.codec, file.rest(), {
    name: file.name,
    signal: job.signal,
    maxBytes: limits.package.maxUnpackedBytes,
    threads: job.jobs,
  })
  yield* within(unpacked, file.name, (stream) => packageEntries(stream, job, depth + 1))
}

/** Reads what is made of a file, and ends the making of it. */
async function* within(
  bytes: AsyncIterable<Uint8Array>,
  name: string,
  read: (stream: ByteStream) => AsyncGenerator<ArchiveEntry, void, undefined>,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  const stream = new ByteStream(bytes, name)
  try {
    yield* read(stream)
  } finally {
    await stream.close()
  }
}
