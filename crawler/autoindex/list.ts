import type { ListDeps } from '../deps.ts'
import { withKernel } from '../pair.ts'
import type { Found } from '../reader.ts'
import { reportOf } from '../report.ts'
import { mirrorsOf, readUnits } from '../rpm/mirrors.ts'
import { packagesOf, wantedUnits } from '../rpm/units.ts'
import type { AutoindexIndex, SourceFile } from '../schema.ts'
import type { CrawlContext, CrawlScope } from '../types.ts'
import { readFolders } from './index-file.ts'

/**
 * All kernels in folders that are only web pages. Never throws for a mirror's fault: the reports tell. Throws the
 * signal's reason, and `CrawlError` `BAD_SOURCE` for a given mirror that is no base URL.
 */
export async function listAutoindex(
  file: SourceFile,
  index: AutoindexIndex,
  scope: CrawlScope,
  context: CrawlContext,
  deps: ListDeps,
): Promise<Found> {
  const units = wantedUnits(file, index, scope)
  await readUnits(
    units,
    mirrorsOf(index, scope),
    scope,
    deps.now(),
    context,
    async (unit, folder, others) => {
      const found = await readFolders(folder, ['.'], unit, context)
      return found === null ? null : { ...found, bases: [folder, ...others].map((base) => `${base}/`) }
    },
  )
  return {
    found: withKernel(units.flatMap(packagesOf), index.names.leastBytes),
    indexes: units.map((unit) => reportOf(unit, 'packages')),
  }
}
