import { describeError } from '../core/errors.ts'
import { HttpError } from '../core/http.ts'
import type { DetailsPlace, PackageFile } from '../core/kernel-package.ts'
import { archiveDetails } from './apt/archive-details.ts'
import type { ListDeps } from './deps.ts'
import { launchpadDetails } from './launchpad/details.ts'
import type { SourceFile } from './schema.ts'
import { type CrawlContext, CrawlError } from './types.ts'

/** What more is known of a file that is told about. */
export type Details = Pick<PackageFile, 'urls' | 'sizeBytes' | 'sha256' | 'signed'>

/**
 * Files with the sizes, digests and URLs that are told of them one by one, from the first place that tells. A file that
 * nobody tells anything about stays as it is, unchecked. Throws the signal's reason.
 */
export function withDetails(
  source: SourceFile,
  files: readonly PackageFile[],
  context: CrawlContext,
  deps: ListDeps,
): Promise<PackageFile[]> {
  const ask = (file: PackageFile, place: DetailsPlace): Promise<Details | null> =>
    place.kind === 'launchpad'
      ? launchpadDetails(file, place.url, context)
      : archiveDetails(source, file, place, context, deps)
  return Promise.all(
    files.map(async (file) => {
      if (file.sha256 !== null) return file
      for (const place of file.details ?? []) {
        try {
          const told = await ask(file, place)
          if (told !== null) return { ...file, ...told, urls: [...new Set([...told.urls, ...file.urls])] }
        } catch (err) {
          context.signal.throwIfAborted()
          if (!(err instanceof CrawlError || err instanceof HttpError)) throw err
          context.log.warn(
            { name: file.name, reason: describeError(err) },
            'no size and digest of this package',
          )
        }
      }
      return file
    }),
  )
}
