import { HttpError } from '../../core/http.ts'
import { describeError } from '../../core/errors.ts'
import type { KernelPackage, PackageFile } from '../../core/kernel-package.ts'
import { limits } from '../../core/limits.ts'
import { type CrawlContext, CrawlError } from '../types.ts'
import { FileUrls } from './schema.ts'

/**
 * A build with the sizes, digests and URLs that Launchpad tells of its files one by one: the only place that has a
 * checksum of what was deleted from the archive. A file that it tells nothing about stays as it is, unchecked.
 */
export async function launchpadDetails(pkg: KernelPackage, context: CrawlContext): Promise<KernelPackage> {
  const complete = (files: readonly PackageFile[]): Promise<PackageFile[]> =>
    Promise.all(files.map((file) => fileDetails(file, context)))
  return { ...pkg, images: await complete(pkg.images), debugs: await complete(pkg.debugs) }
}

async function fileDetails(file: PackageFile, context: CrawlContext): Promise<PackageFile> {
  const { detailsUrl: url } = file
  if (url === undefined || file.sha256 !== null) return file
  try {
    const told = await fetchDetails(url, context)
    const own = told.find((one) => fileName(one.url).startsWith(`${file.name}_`))
    if (own === undefined) return file
    const urls = [...new Set([own.url, ...file.urls])]
    return { ...file, urls, sizeBytes: own.size, sha256: own.sha256 }
  } catch (err) {
    context.signal.throwIfAborted()
    if (!(err instanceof CrawlError || err instanceof HttpError)) throw err
    context.log.warn({ url, reason: describeError(err) }, 'no size and digest of this package')
    return file
  }
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
