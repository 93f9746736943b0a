import { load } from 'cheerio'
import { CrawlError } from '../types.ts'

/** One file that a page names in its own folder. */
export interface PageFile {
  /** Decoded: as it is called on the server's disk. */
  readonly name: string
  /** Exact; null where the page rounds or says nothing. */
  readonly sizeBytes: number | null
  /** ISO 8601; null where the page says nothing. */
  readonly date: string | null
}

export interface Page {
  readonly files: readonly PageFile[]
  /** False where the page may have been cut off: pages have no digest, and not all of them say where they end. */
  readonly complete: boolean
  /** Where the listing goes on; null at its end. */
  readonly next: string | null
}

/**
 * The files that a folder's page names: Apache's table or list, nginx, lighttpd, Aliyun's, a bucket's XML. Links are
 * resolved against the page's address and taken only where they lead to a file in that very folder: no page can make us
 * look elsewhere. Throws `MALFORMED` for what is no listing of that folder: a captive portal has links too, but none into
 * the folder nor to the one above.
 */
export function parsePage(text: string, pageUrl: string): Page {
  const head = text.slice(0, 500)
  if (/<ListBucketResult[\s>]/.test(head)) return parseBucket(text, pageUrl)
  if (!/<(?:!doctype html|html|head|body|pre|table|a)[\s>]/i.test(head)) {
    throw new CrawlError('MALFORMED', `${pageUrl}: expected a web page with links`)
  }
  const dom = load(text)
  const files = new Map<string, PageFile>()
  let isListing = false
  // Reading attributes off the nodes is forty times faster than asking cheerio for each.
  for (const anchor of dom('a[href]').toArray()) {
    const href = anchor.attribs.href ?? ''
    isListing ||= isAround(pageUrl, href)
    const name = fileIn(pageUrl, href)
    if (name === null || files.has(name)) continue
    const row = anchor.parent?.type === 'tag' && anchor.parent.name === 'td' ? anchor.parent.parent : null
    const beside = row === null ? (anchor.next ?? null) : row
    const said = row === null ? (beside?.type === 'text' ? beside.data : '') : textOf(row, anchor)
    files.set(name, { name, ...facts(said) })
  }
  if (!isListing) throw new CrawlError('MALFORMED', `${pageUrl}: expected a list of what is in that folder`)
  return { files: [...files.values()], complete: /<\/html>\s*$/i.test(text), next: null }
}

/** `ListBucketResult` as S3 and its like answer to a listing of keys, a page at a time. */
function parseBucket(text: string, pageUrl: string): Page {
  const dom = load(text, { xml: true })
  const query = new URL(pageUrl).searchParams
  const prefix = query.get('prefix') ?? ''
  const files = dom('Contents')
    .toArray()
    .flatMap((item): PageFile[] => {
      const key = dom(item).children('Key').text()
      const name = key.startsWith(prefix) ? key.slice(prefix.length).replace(/^\//, '') : ''
      const size = dom(item).children('Size').text()
      const date = Date.parse(dom(item).children('LastModified').text())
      return isFileName(name)
        ? [
            {
              name,
              sizeBytes: /^\d{1,15}$/.test(size) ? Number(size) : null,
              date: Number.isNaN(date) ? null : new Date(date).toISOString(),
            },
          ]
        : []
    })
  const token = dom('NextContinuationToken').first().text()
  const complete = /<\/ListBucketResult>\s*$/.test(text)
  if (dom('IsTruncated').first().text() !== 'true') return { files, complete, next: null }
  if (token === '') throw new CrawlError('MALFORMED', `${pageUrl}: goes on, but does not say where`)
  const next = new URL(pageUrl)
  next.searchParams.set('continuation-token', token)
  return { files, complete, next: next.href }
}

/** The name of the file that a link leads to; null where that is not in the page's folder. */
function fileIn(pageUrl: string, href: string): string | null {
  if (!URL.canParse(href, pageUrl)) return null
  const folder = new URL('.', pageUrl)
  const url = new URL(href, pageUrl)
  if (url.origin !== folder.origin || url.search !== '' || url.hash !== '') return null
  if (!decoded(url.pathname).startsWith(decoded(folder.pathname))) return null
  const name = decoded(url.pathname).slice(decoded(folder.pathname).length)
  return isFileName(name) ? name : null
}

/** True for links that every listing of a folder has some of: into it, to itself in another order, to the one above. */
function isAround(pageUrl: string, href: string): boolean {
  if (!URL.canParse(href, pageUrl)) return false
  const folder = new URL('.', pageUrl)
  const url = new URL(href, pageUrl)
  if (href === '' || url.hash !== '' || url.origin !== folder.origin) return false
  const path = decoded(url.pathname)
  return path.startsWith(decoded(folder.pathname)) || path === decoded(new URL('..', folder).pathname)
}

function isFileName(name: string): boolean {
  return /^[^/\\\u0000-\u001f]{1,255}$/.test(name) && name !== '.' && name !== '..'
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

interface TextNode {
  readonly type: string
  readonly data?: string
  readonly children?: readonly TextNode[]
}

/** The text of a table's row, that of the link itself left out. */
function textOf(node: TextNode, link: unknown): string {
  if (node === link) return ''
  if (node.type === 'text') return ` ${node.data ?? ''}`
  return (node.children ?? []).map((child) => textOf(child, link)).join('')
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

/** What stands beside a link. Sizes with a unit are rounded, and then no size; small ones are of no use here. */
function facts(said: string): Pick<PageFile, 'sizeBytes' | 'date'> {
  const size = /(?:^|\s)(\d{5,15})(?=\s|$)/.exec(said)?.[1]
  const iso = /\b(\d{4})-(\d\d)-(\d\d)[ T](\d\d:\d\d)/.exec(said)
  const named = /\b(\d\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d:\d\d)/.exec(said)
  const text =
    iso !== null
      ? `${iso[1]}-${iso[2]}-${iso[3]}T${iso[4]}:00Z`
      : named !== null
        ? `${named[3]}-${String(MONTHS.indexOf(named[2] ?? '') + 1).padStart(2, '0')}-${named[1]}T${named[4]}:00Z`
        : ''
  const at = Date.parse(text)
  return {
    sizeBytes: size === undefined ? null : Number(size),
    date: Number.isNaN(at) ? null : new Date(at).toISOString(),
  }
}
