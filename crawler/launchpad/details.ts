import type { PackageFile } from '../../core/kernel-package.ts'
import { limits } from '../../core/limits.ts'
import type { Details } from '../details.ts'
import { type CrawlContext, CrawlError } from '../types.ts'
import { FileUrls } from './schema.ts'

/**
 * Size, digest and URL that Launchpad tells of one publication: the only place that has a checksum of what was deleted
 * from the archive. Null where it tells nothing of this file. Throws {@link CrawlError} and what `http` throws.
 */
export async function launchpadDetails(
  file: PackageFile,
  url: string,
  context: CrawlContext,
): Promise<Details | null> {
  const told = await fetchDetails(url, context)
  const own = told.find((one) => fileName(one.url).startsWith(`${file.name}_`))
  return own === undefined
    ? null
    : { urls: [own.url], sizeBytes: own.size, sha256: own.sha256, signed: false }
}

async function fetchDetails(url: string, context: CrawlContext): Promise<FileUrls> {
  const { http, signal } = context
  const document = await http.document(url, { signal, maxBytes: limits.index.maxReleaseBytes })
  if (document === null || document === 'not-modified') throw new CrawlError('ILL', `${url}: not there`)
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(document.bytes).toString('utf8'))
  } catch (err) {
    throw new CrawlError('MALFORMED', `${url}: expected JSON`, { cause: err })
  }
  const parsed = FileUrls.safeParse(value)
  if (!parsed.success) throw new CrawlError('MALFORMED', `${url}: expected files with size and digest`)
  return parsed.data
}

function fileName(url: string): string {
  return decodeURIComponent(new URL(url).pathname.split('/').at(-1) ?? '')
}
