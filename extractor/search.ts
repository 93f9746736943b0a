import { BtfError, readBtfHeader } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { readAr } from './ar.ts'
import { ByteStream } from './byte-stream.ts'
import { type Codec, decompress } from './codec.ts'
import { debPackageName } from './deb-control.ts'
import { type Found, foundIn, type Job, type Surroundings } from './found.ts'
import { KIND_BYTES, kindOf } from './kind.ts'
import { scanKernel } from './scan.ts'
import { searchArchive } from './search-archive.ts'
import { searchElf } from './search-elf.ts'
import { searchRpm } from './search-rpm.ts'
import { soundBtf } from './sound-btf.ts'
import { readTar } from './tar.ts'
import { ExtractError } from './types.ts'
import { unwrapImage } from './unwrap.ts'

const NOWHERE: Surroundings = {
  isInput: true,
  sizeBytes: null,
  inPackage: false,
  packageName: null,
  inImage: false,
  depth: 0,
}

/**
 * Looks for a kernel's BTF in a file of any kind, through all that it is wrapped in, reading no further than it must.
 * Null where it is whole and has none. Throws ExtractError, and whatever the stream throws.
 */
export async function search(
  file: ByteStream,
  job: Job,
  where: Surroundings = NOWHERE,
): Promise<Found | null> {
  if (where.depth > limits.package.maxDepth) {
    throw new ExtractError('LIMIT', `${file.name}: wrapped more than ${limits.package.maxDepth} times`)
  }
  const kind = kindOf(await file.peek(KIND_BYTES), file.name)
  const inner = { ...where, isInput: false, depth: where.depth + 1 }
  switch (kind) {
    case 'ar':
      return await searchDeb(file, job, inner)
    case 'tar':
      return await searchArchive(
        { name: file.name, entries: readTar(file), candidates: null },
        job,
        inner,
        within,
      )
    case 'rpm':
      return await searchRpm(file, job, { ...inner, isInput: where.isInput }, within)
    case 'btf':
      return job.forceDwarf ? null : await takeBtf(file, job)
    case 'elf':
      job.onKernel()
      return where.inImage ? await searchImage(file, job) : await searchElf(file, job, where.sizeBytes)
    case 'flat':
      job.onKernel()
      return job.forceDwarf ? null : await searchImage(file, job)
    case 'bzimage':
    case 'zboot': {
      job.onKernel()
      if (job.forceDwarf) return null
      const kernel = unwrapImage(file, kind, job.signal)
      return await within(kernel, file.name, job, { ...inner, inImage: true })
    }
    default:
      return await within(unpacked(file, kind.codec, job, where), file.name, job, inner)
  }
}

async function searchImage(kernel: ByteStream, job: Job): Promise<Found | null> {
  return foundIn(kernel.name, await scanKernel(kernel, { ...job, btf: true }), job)
}

/** Searches what is made of a file, and ends the making of it. */
async function within(
  bytes: AsyncIterable<Uint8Array>,
  name: string,
  job: Job,
  where: Surroundings,
): Promise<Found | null> {
  const stream = new ByteStream(bytes, name)
  try {
    return await search(stream, job, where)
  } finally {
    await stream.close()
  }
}

/** One block of 24 MiB unpacked is some 4 MiB here; an image comes first and is over before others could help. */
const SMALL_BYTES = 64 << 20

function unpacked(file: ByteStream, codec: Codec, job: Job, where: Surroundings): AsyncIterable<Uint8Array> {
  const isSmall = where.sizeBytes !== null && where.sizeBytes < SMALL_BYTES
  return decompress(codec, file.rest(), {
    name: file.name,
    signal: job.signal,
    maxBytes: limits.package.maxUnpackedBytes,
    threads: isSmall ? 1 : job.jobs,
  })
}

/** deb(5): `debian-binary`, `control.tar*`, `data.tar*`, in this order. */
async function searchDeb(file: ByteStream, job: Job, where: Surroundings): Promise<Found | null> {
  let packageName: string | null = null
  let count = 0
  for await (const member of readAr(file)) {
    if (count++ === 0 && member.name !== 'debian-binary') {
      throw new ExtractError(
        'UNSUPPORTED',
        `${file.name}: ar archive that is no Debian package: its first member is ${JSON.stringify(member.name)}`,
      )
    }
    if (member.name.startsWith('control.tar') && job.release === null) {
      packageName = await debPackageName(
        new ByteStream(member.body(), `${file.name}: ${member.name}`),
        job.signal,
      )
    }
    if (member.name.startsWith('data.tar')) {
      const inner = { ...where, packageName, inPackage: true, sizeBytes: member.sizeBytes }
      return await within(member.body(), `${file.name}: ${member.name}`, job, inner)
    }
  }
  throw new ExtractError('MALFORMED', `${file.name}: Debian package without data.tar`)
}

async function takeBtf(file: ByteStream, job: Job): Promise<Found> {
  try {
    const { totalBytes } = readBtfHeader(await file.peek(KIND_BYTES), Infinity)
    const btf = new Uint8Array(await file.read(totalBytes, 'the BTF that its header describes'))
    return { kind: 'btf', buildId: null, banner: null, ...soundBtf(btf, job.expected) }
  } catch (err) {
    if (!(err instanceof BtfError || (err instanceof ExtractError && err.code === 'INVALID'))) throw err
    throw new ExtractError('INVALID', `${file.name}: no BTF of a kernel`, { cause: err })
  }
}
