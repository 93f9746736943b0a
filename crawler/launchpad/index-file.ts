import { sha256Of } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { CrawlError, type CrawlContext } from '../types.ts'
import { Memo, Publication, PublicationPage } from './schema.ts'

/** Entries of one page; Launchpad gives no more. */
const PAGE_SIZE = 300

/** One listing: the publications of one series and architecture, whatever became of them. */
export interface LaunchpadQuery {
  /** `https://api.launchpad.net/devel`. */
  readonly api: string
  readonly archivePath: string
  /** `ubuntu/focal`. */
  readonly series: string
  /** As the distribution says it. */
  readonly arch: string
  readonly name: string
  readonly memoKey: string
  readonly accepts: (packageName: string) => boolean
}

export interface FoundPublications extends Memo {
  readonly outcome: 'new' | 'unchanged'
  readonly url: string
  readonly bytes: number
  readonly signed: false
}

/**
 * All publications of a listing, newest first: pages are read until one ends with what is remembered, so that a night
 * with nothing new costs one page. What shifts to a later page while pages are read comes twice and counts once. Null
 * where there is no such series. Throws {@link CrawlError} and what `http` throws.
 */
export async function readPublications(
  query: LaunchpadQuery,
  context: CrawlContext,
): Promise<FoundPublications | null> {
  const known = await recall(query.memoKey, context)
  const remembered = new Set(known?.publications.map((one) => one.self_link))
  const publications = new Map<string, Publication>()
  const seen = new Set<string>()
  let bytes = 0
  let skipped = 0
  const first = firstPage(query)
  for (let url: string | null = first; url !== null;) {
    if (seen.has(url) || seen.size >= limits.index.maxPages) {
      throw new CrawlError('MALFORMED', `${url}: a listing that does not end`)
    }
    seen.add(url)
    const document = await context.http.document(url, {
      signal: context.signal,
      maxBytes: limits.index.maxPageBytes,
    })
    if (document === null) return null
    if (document === 'not-modified')
      throw new CrawlError('ILL', `${url}: not modified since nothing was asked`)
    bytes += document.bytes.byteLength
    const page = parsePage(url, document.bytes)
    let reachedKnown = false
    for (const entry of page.entries) {
      const parsed = Publication.safeParse(entry)
      const one = parsed.success && sameHost(parsed.data.self_link, url) ? parsed.data : null
      if (one === null) skipped++
      else if (remembered.has(one.self_link)) reachedKnown = true
      else if (query.accepts(one.binary_package_name)) publications.set(one.self_link, one)
    }
    if (publications.size > limits.index.maxPackages) {
      throw new CrawlError('MALFORMED', `${first}: more than ${limits.index.maxPackages} kernel packages`)
    }
    url = reachedKnown ? null : nextPage(url, page.next_collection_link)
  }
  const all: Memo = { publications: [...publications.values(), ...(known?.publications ?? [])], skipped }
  const value = JSON.stringify(all)
  if (publications.size > 0 || known === null) {
    const memo = { etag: null, lastModified: null, sha256: sha256Of(value), value }
    await context.cache.put(query.memoKey, memo)
  }
  return {
    ...all,
    signed: false,
    outcome: publications.size > 0 || known === null ? 'new' : 'unchanged',
    url: first,
    bytes,
  }
}

/** What is asked for a publication's details later has to be who listed it. */
function sameHost(link: string, url: string): boolean {
  return new URL(link).origin === new URL(url).origin
}

function firstPage(query: LaunchpadQuery): string {
  const url = new URL(`${query.api}/${query.archivePath}`)
  const parameters = {
    'ws.op': 'getPublishedBinaries',
    binary_name: query.name,
    distro_arch_series: `${query.api}/${query.series}/${query.arch}`,
    order_by_date: 'true',
    'ws.size': String(PAGE_SIZE),
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}

/** A page that leads elsewhere is not followed. */
function nextPage(url: string, link: string | undefined): string | null {
  if (link === undefined) return null
  const next = URL.canParse(link) ? new URL(link) : null
  if (next === null || next.origin !== new URL(url).origin || next.pathname !== new URL(url).pathname) {
    throw new CrawlError('MALFORMED', `${url}: expected the next page there, got ${JSON.stringify(link)}`)
  }
  return next.href
}

function parsePage(url: string, bytes: Uint8Array): PublicationPage {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (err) {
    throw new CrawlError('MALFORMED', `${url}: expected JSON`, { cause: err })
  }
  const parsed = PublicationPage.safeParse(value)
  if (!parsed.success) throw new CrawlError('MALFORMED', `${url}: expected a page of publications`)
  return parsed.data
}

async function recall(key: string, context: CrawlContext): Promise<Memo | null> {
  const memo = await context.cache.get(key)
  if (memo === null) return null
  try {
    return Memo.parse(JSON.parse(memo.value))
  } catch {
    return null
  }
}
