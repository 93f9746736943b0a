import { sha256Of } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { recallRpms, rememberRpms, type RpmEntry } from '../rpm/entries.ts'
import { parseRpmFileName } from '../rpm/names.ts'
import type { FoundRpms, RpmUnit } from '../rpm/units.ts'
import { CrawlError, type CrawlContext } from '../types.ts'
import { type Page, type PageFile, parsePage } from './links.ts'

/**
 * The kernel packages that the web pages of some folders below `base` name; null where none of them is there. A page
 * vouches for nothing: there are no digests, and sizes only where it states them to the byte. Throws
 * {@link CrawlError} and what `http` throws.
 */
export async function readFolders(
  base: string,
  folders: readonly string[],
  unit: RpmUnit,
  context: CrawlContext,
): Promise<FoundRpms | null> {
  const memo = await recallRpms(unit.memoKey, context.cache)
  if (memo !== null && unit.frozen) return { ...memo, outcome: 'unchanged', bases: [] }
  const entries: RpmEntry[] = []
  let there = false
  let complete = true
  for (const folder of folders) {
    const found = await readFolder(`${base}/${folder}`.replace(/\/\.$/, ''), unit, context)
    if (found === null) continue
    there = true
    complete &&= found.complete
    for (const file of found.files) {
      const id = parseRpmFileName(file.name)
      if (id === null || !unit.names.accepts(id.name)) continue
      const path = [...(folder === '.' ? [] : folder.split('/')), file.name]
      const href = path.map(encodeURIComponent).join('/')
      entries.push({ ...id, href, sizeBytes: file.sizeBytes, sha256: null, date: file.date })
    }
    if (entries.length > limits.index.maxPackages) {
      throw new CrawlError('MALFORMED', `${base}: more than ${limits.index.maxPackages} kernel packages`)
    }
  }
  if (!there) return null
  const digest = sha256Of(JSON.stringify(entries))
  const from = `page ${digest}`
  const found = { entries, skipped: 0, url: `${base}/`, signed: false }
  // A folder that never changes is not asked again: what may be half of it is not remembered for good.
  const worth = memo?.from !== from && (complete || !unit.frozen)
  if (worth) await rememberRpms(unit.memoKey, { ...found, from }, digest, context.cache)
  return { ...found, outcome: memo?.from === from ? 'unchanged' : 'new', bases: [] }
}

/** All files of one folder, over all pages of its listing. */
async function readFolder(
  folder: string,
  unit: RpmUnit,
  context: CrawlContext,
): Promise<Pick<Page, 'files' | 'complete'> | null> {
  const { http, signal } = context
  const files: PageFile[] = []
  let complete = true
  const seen = new Set<string>()
  for (let url: string | null = `${folder}/`; url !== null;) {
    if (seen.has(url) || seen.size >= limits.index.maxPages) {
      throw new CrawlError('MALFORMED', `${url}: a listing that does not end`)
    }
    seen.add(url)
    const document = await http.document(url, { signal, maxBytes: limits.index.maxPageBytes })
    if (document === null) return null
    if (document === 'not-modified')
      throw new CrawlError('ILL', `${url}: not modified since nothing was asked`)
    unit.bytes += document.bytes.byteLength
    const page = parsePage(Buffer.from(document.bytes).toString('utf8'), document.url)
    files.push(...page.files)
    complete &&= page.complete
    url = page.next
  }
  return { files, complete }
}
