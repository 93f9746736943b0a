import { z } from 'zod'
import { sha256Of } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { CrawlError, type CrawlContext } from '../types.ts'
import { AllFiles, filesOf, PastFile, SourceVersions } from './schema.ts'

/** What is asked of one source package. */
export interface PastQuery {
  /** `https://snapshot.debian.org`. */
  readonly base: string
  readonly source: string
  /** As the distribution says them. */
  readonly arches: readonly string[]
  readonly accepts: (packageName: string, arch: string) => boolean
  /** Which versions are wanted at all. */
  readonly wanted: (version: string) => boolean
  readonly memoKey: string
  /** Versions that may be asked for in this run; counted down. */
  readonly budget: { versions: number }
}

export interface PastFiles {
  readonly files: readonly PastFile[]
  readonly skipped: number
  /** Versions that are wanted and were not asked for yet; null where nobody has ever asked which there are. */
  readonly pending: number | null
  readonly bytes: number
  readonly outcome: 'new' | 'unchanged'
}

/** How many versions may be lost where the process is killed. */
const SAVE_EVERY = 10

const Memo = z.object({
  versions: z.record(z.string(), z.array(PastFile)),
  skipped: z.number(),
  /** Those that were there when it was asked last. */
  listed: z.array(z.string()).nullable(),
})
type Memo = z.infer<typeof Memo>

/**
 * Every kernel package of a source package that ever was: one request for its versions, and one for each version that
 * is not known yet, newest first, as many as the budget has. What a version had does not change, so it is asked for
 * once and for all. With `offline` nothing is asked. Null where there is no such source package. Throws
 * {@link CrawlError} and what `http` throws; what was learnt before that is kept.
 */
export async function readPastFiles(
  query: PastQuery,
  offline: boolean,
  context: CrawlContext,
): Promise<PastFiles | null> {
  const known = (await recall(query.memoKey, context)) ?? { versions: {}, skipped: 0, listed: null }
  if (offline) return answer(known, query, 0, 'unchanged')
  let bytes = 0
  const get = async (path: string, maxBytes: number): Promise<unknown> => {
    const url = `${query.base}/mr/package/${encodeURIComponent(query.source)}/${path}`
    const document = await context.http.document(url, { signal: context.signal, maxBytes })
    if (document === null || document === 'not-modified') return null
    bytes += document.bytes.byteLength
    return fromJson(url, document.bytes)
  }
  const listed = await get('', limits.index.maxReleaseBytes)
  if (listed === null) return null
  const { result } = parsed(SourceVersions, listed, `${query.source}: expected a list of versions`)
  let memo: Memo = { ...known, listed: [...new Set(result.map(({ version }) => version))] }
  const missing = missingOf(memo, query)
  // Which there are is worth keeping too, for then it is known what is missing.
  let unsaved = missing.length > 0 || known.listed === null ? 1 : 0
  try {
    for (const version of missing) {
      if (query.budget.versions <= 0) break
      query.budget.versions--
      const all = await get(`${encodeURIComponent(version)}/allfiles?fileinfo=1`, limits.index.maxPageBytes)
      const what = `${query.source} ${version}: expected files with their places`
      const { files, skipped } =
        all === null
          ? { files: [], skipped: 0 }
          : filesOf(parsed(AllFiles, all, what), query.arches, query.accepts)
      const versions = { ...memo.versions, [version]: [...files] }
      memo = { ...memo, versions, skipped: memo.skipped + skipped }
      if (++unsaved < SAVE_EVERY) continue
      await save(query.memoKey, memo, context)
      unsaved = 0
    }
  } finally {
    if (unsaved > 0) await save(query.memoKey, memo, context)
  }
  const learnt = Object.keys(memo.versions).length > Object.keys(known.versions).length
  return answer(memo, query, bytes, learnt ? 'new' : 'unchanged')
}

function missingOf(memo: Memo, query: PastQuery): string[] {
  return (memo.listed ?? []).filter((version) => query.wanted(version) && !(version in memo.versions))
}

function answer(memo: Memo, query: PastQuery, bytes: number, outcome: PastFiles['outcome']): PastFiles {
  const pending = memo.listed === null ? null : missingOf(memo, query).length
  const files = Object.values(memo.versions).flat()
  return { files, skipped: memo.skipped, pending, bytes, outcome }
}

async function recall(key: string, context: CrawlContext): Promise<Memo | null> {
  const memo = await context.cache.get(key)
  try {
    return memo === null ? null : Memo.parse(JSON.parse(memo.value))
  } catch {
    return null
  }
}

async function save(key: string, memo: Memo, context: CrawlContext): Promise<void> {
  const value = JSON.stringify(memo)
  await context.cache.put(key, { etag: null, lastModified: null, sha256: sha256Of(value), value })
}

function fromJson(url: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (err) {
    throw new CrawlError('MALFORMED', `${url}: expected JSON`, { cause: err })
  }
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new CrawlError('MALFORMED', `${what}: ${z.prettifyError(result.error).split('\n')[0] ?? ''}`)
}
