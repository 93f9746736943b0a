import { createHash } from 'node:crypto'
import { sha256Of } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import type { Keyring } from '../openpgp/keyring.ts'
import { recallRpms, rememberRpms, type RpmEntries } from '../rpm/entries.ts'
import { type FoundRpms, linkFrom, type RpmUnit } from '../rpm/units.ts'
import { CrawlError, type CrawlContext } from '../types.ts'
import { unpack } from '../unpack.ts'
import { readPrimaryDb } from './primary-db.ts'
import { readPrimaryXml } from './primary-xml.ts'
import { type Checksum, type MetadataFile, parseRepomd } from './repomd-file.ts'
import { fetchRepomd } from './signed-file.ts'

/** By what an index is trusted, and what reading it needs. */
export interface RepomdTrust {
  /** Null where the distribution does not sign its metadata. */
  readonly keyring: Keyring | null
  /** True where not every mirror has signatures: what has none is unsigned. */
  readonly optional: boolean
  readonly now: Date
  readonly tempDir: string
}

/**
 * The kernel packages of one repository: from memory where `repomd.xml` vouches for the very list they came from (or
 * where the repository does not change any more), else fetched, unpacked and read in one go, and given only when every
 * checksum holds. Null where there is no repository. Throws {@link CrawlError} and what `http` throws.
 */
export async function readIndex(
  base: string,
  unit: RpmUnit,
  trust: RepomdTrust,
  context: CrawlContext,
): Promise<FoundRpms | null> {
  const memo = await recallRpms(unit.memoKey, context.cache)
  const same = memo !== null && isBelieved(memo.from, trust) ? memo : null
  if (same !== null && unit.frozen) return { ...same, outcome: 'unchanged', bases: [] }
  const url = `${base}/repodata/repomd.xml`
  const repomd = await fetchRepomd(url, trust, unit, context)
  if (repomd === null) return null
  const { document } = repomd
  const signer = trust.keyring === null || repomd.signature === null ? 'nobody' : trust.keyring.id
  const files = await parseRepomd(url, document)
  // A document that was cut off is not remembered: a mirror that says it is unchanged would never recover.
  await repomd.remember()
  const known = files.find(({ checksum }) => same?.from === `${signer} ${stated(checksum)}`)
  if (same !== null && known !== undefined) return { ...same, outcome: 'unchanged', bases: [] }
  for (const [at, file] of files.entries()) {
    const source = linkFrom(`${base}/`, file.href)
    if (source === null) throw new CrawlError('MALFORMED', `${url}: ${file.href} is no link that is followed`)
    try {
      const entries = await fetchList(source, file, unit, trust, context)
      const signed = signer !== 'nobody' && file.checksum.algorithm !== 'sha1'
      const from = `${signer} ${stated(file.checksum)}`
      await rememberRpms(unit.memoKey, { ...entries, from, url, signed }, sha256Of(document), context.cache)
      return { ...entries, outcome: 'new', url, signed, bases: [] }
    } catch (err) {
      // A machine without xz can still read the .gz.
      if (!(err instanceof CrawlError && err.code === 'TOOL') || at === files.length - 1) throw err
      context.log.warn({ reason: err.message }, 'trying an index in another compression')
    }
  }
  return null
}

/** Whether what is remembered was vouched for by who would have to today. */
function isBelieved(from: string, { keyring, optional }: RepomdTrust): boolean {
  const signers = [
    ...(keyring === null ? [] : [keyring.id]),
    ...(keyring === null || optional ? ['nobody'] : []),
  ]
  return signers.some((signer) => from.startsWith(`${signer} `))
}

async function fetchList(
  url: string,
  file: MetadataFile,
  unit: RpmUnit,
  trust: RepomdTrust,
  context: CrawlContext,
): Promise<RpmEntries> {
  const maxBytes = Math.min(file.sizeBytes ?? limits.index.maxBytes, limits.index.maxBytes)
  const stream = await context.http.stream(url, { signal: context.signal, maxBytes })
  if (stream === null) throw new CrawlError('ILL', `${url}: repomd.xml lists it, the mirror has it not`)
  const packed = checked(counted(stream.bytes, unit), url, file.checksum)
  const maxOpenBytes = Math.min(
    file.openSizeBytes ?? limits.index.maxUnpackedBytes,
    limits.index.maxUnpackedBytes,
  )
  const plain = checked(unpack(packed, file.coding, maxOpenBytes, context.signal), url, file.openChecksum)
  return file.form === 'xml'
    ? readPrimaryXml(url, plain, unit.names.accepts)
    : readPrimaryDb(url, plain, unit.names.accepts, trust.tempDir)
}

async function* counted(chunks: AsyncIterable<Uint8Array>, unit: RpmUnit): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    unit.bytes += chunk.byteLength
    yield chunk
  }
}

/** Passes bytes on; after the last it throws `BAD_DIGEST` where they are not what repomd.xml says. */
async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  url: string,
  expected: Checksum | null,
): AsyncGenerator<Uint8Array> {
  const hash = expected === null ? null : createHash(expected.algorithm)
  for await (const chunk of chunks) {
    hash?.update(chunk)
    yield chunk
  }
  if (hash !== null && hash.digest('hex') !== expected?.hex) {
    throw new CrawlError('BAD_DIGEST', `${url}: is something else than repomd.xml says`)
  }
}

function stated({ algorithm, hex }: Checksum): string {
  return `${algorithm}:${hex}`
}
