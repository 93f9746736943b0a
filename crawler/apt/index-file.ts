import { z } from 'zod'
import { DigestTap, parseSha256, type Sha256, sha256Of } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import type { KernelNames } from '../names.ts'
import { CrawlError, type CrawlContext } from '../types.ts'
import { type PackageEntries, readPackages } from './packages.ts'
import type { Release, ReleaseFile } from './release.ts'
import { type FoundRelease, fetchChecked } from './suite.ts'
import { type Coding, CODINGS, unpack } from '../unpack.ts'

/** One `Packages` file of a suite. */
export interface IndexQuery {
  readonly component: string
  /** As the distribution says it: `amd64`. */
  readonly arch: string
  readonly names: KernelNames
  /** Where its kernels are remembered: everything that makes them what they are, but for the file itself. */
  readonly memoKey: string
}

export interface FoundIndex extends PackageEntries {
  readonly outcome: 'new' | 'unchanged'
  readonly url: string
  readonly bytes: number
  readonly signed: boolean
}

/**
 * The kernel packages of one index: from memory where the Release file vouches for the very file they came from, else
 * fetched by hash or by name, checked, and only then unpacked and read. Null where the suite has no such index.
 */
export async function readIndex(
  found: FoundRelease,
  query: IndexQuery,
  context: CrawlContext,
): Promise<FoundIndex | null> {
  const dir = `${query.component}/binary-${query.arch}`
  const variants = CODINGS.map((coding) => ({
    coding,
    file: found.release.files.get(`${dir}/Packages${coding}`),
  }))
  const listed = variants.filter((variant) => variant.file !== undefined) as readonly Variant[]
  if (listed.length === 0) return null
  const url = `${found.url}/${dir}/Packages`
  const remembered = await recall(query, listed, context)
  if (remembered !== null) return { ...remembered, outcome: 'unchanged', url, bytes: 0, signed: found.signed }
  for (const [at, variant] of listed.entries()) {
    try {
      const entries = await fetchIndex(url, variant, found.release, query, context)
      const value = JSON.stringify(entries)
      await context.cache.put(query.memoKey, {
        etag: null,
        lastModified: null,
        sha256: variant.file.sha256,
        value,
      })
      const { sizeBytes: bytes } = variant.file
      return { ...entries, outcome: 'new', url: url + variant.coding, bytes, signed: found.signed }
    } catch (err) {
      // A machine without xz can still read the .gz.
      if (!(err instanceof CrawlError && err.code === 'TOOL') || at === listed.length - 1) throw err
      context.log.warn({ reason: err.message }, 'trying an index in another compression')
    }
  }
  return null
}

interface Variant {
  readonly coding: Coding
  readonly file: ReleaseFile
}

async function fetchIndex(
  url: string,
  { coding, file }: Variant,
  release: Release,
  query: IndexQuery,
  context: CrawlContext,
): Promise<PackageEntries> {
  if (file.sizeBytes > limits.index.maxBytes) {
    throw new CrawlError(
      'MALFORMED',
      `${url}${coding}: expected at most ${limits.index.maxBytes} bytes, is ${file.sizeBytes}`,
    )
  }
  const folder = url.slice(0, url.lastIndexOf('/'))
  const byHash = release.byHash
    ? await fetchChecked(`${folder}/by-hash/SHA256/${file.sha256}`, file, context)
    : null
  const bytes = byHash ?? (await fetchChecked(url + coding, file, context))
  if (bytes === null) throw new CrawlError('ILL', `${url}${coding}: Release lists it, the mirror has it not`)
  const plain = release.files.get(`${query.component}/binary-${query.arch}/Packages`) ?? null
  const chunks = unpack(bytes, coding, plain?.sizeBytes ?? limits.index.maxUnpackedBytes, context.signal)
  return readPackages(
    checked(chunks, url, plain),
    query.names.needle,
    (name) => query.names.parse(name) !== null,
  )
}

/** Where the Release file vouches for the unpacked file as well, it has to be that. */
async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  url: string,
  expected: ReleaseFile | null,
): AsyncGenerator<Uint8Array> {
  const tap = new DigestTap()
  for await (const chunk of chunks) {
    tap.update(chunk)
    yield chunk
  }
  if (expected !== null && tap.digest() !== expected.sha256) {
    throw new CrawlError('BAD_DIGEST', `${url}: unpacks to something else than Release says`)
  }
}

const Digest = z.string().transform((text, context): Sha256 => {
  const digest = parseSha256(text)
  if (digest !== null) return digest
  context.addIssue('expected a sha256')
  return z.NEVER
})

/** What is remembered; bump the number in `memoKeyOf` with its form. */
const Memo = z.object({
  entries: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      path: z.string(),
      sizeBytes: z.number().nullable(),
      sha256: Digest.nullable(),
    }),
  ),
  skipped: z.number(),
})

/** The key under which an index's kernels are remembered: independent of the mirror, for the digest says which file. */
export function memoKeyOf(where: readonly string[], rules: unknown): string {
  return `apt-packages/1 ${where.join(' ')} ${sha256Of(JSON.stringify(rules)).slice(0, 16)}`
}

async function recall(
  query: IndexQuery,
  listed: readonly Variant[],
  context: CrawlContext,
): Promise<PackageEntries | null> {
  const memo = await context.cache.get(query.memoKey)
  if (memo === null || !listed.some(({ file }) => file.sha256 === memo.sha256)) return null
  let value: unknown
  try {
    value = JSON.parse(memo.value)
  } catch {
    return null
  }
  const parsed = Memo.safeParse(value)
  return parsed.success ? parsed.data : null
}
