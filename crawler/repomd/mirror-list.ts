import { limits } from '../../core/limits.ts'
import type { RpmUnit } from '../rpm/units.ts'
import { CrawlError, type CrawlContext } from '../types.ts'

/** Mirrors of one list that are asked. */
const MAX_MIRRORS = 5

/**
 * The repositories that a folder's `mirror.list` names, as Amazon Linux has them: one base URL a line, which may have a
 * slash at its end or not. Null where there is no list. Throws `MALFORMED` where it names none.
 */
export async function fetchMirrorList(
  folder: string,
  unit: RpmUnit,
  context: CrawlContext,
): Promise<readonly string[] | null> {
  const url = `${folder}/mirror.list`
  const { http, signal } = context
  const document = await http.document(url, { signal, maxBytes: limits.index.maxMirrorListBytes })
  if (document === null) return null
  if (document === 'not-modified') throw new CrawlError('ILL', `${url}: not modified since nothing was asked`)
  unit.bytes += document.bytes.byteLength
  const lines = Buffer.from(document.bytes)
    .toString('utf8')
    .replaceAll('$basearch', unit.archName)
    .split(/\s+/)
  const bases = lines.filter((line) => /^https?:\/\//.test(line) && URL.canParse(line))
  if (bases.length === 0) throw new CrawlError('MALFORMED', `${url}: expected base URLs, one a line`)
  return bases.slice(0, MAX_MIRRORS).map((base) => base.replace(/\/+$/, ''))
}
