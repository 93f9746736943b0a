import { join } from 'node:path'
import { packageRoot } from '../../core/version.ts'
import {
  createSources,
  type IndexCache,
  loadSources,
  type Source,
  type SourceFile,
} from '../../crawler/index.ts'
import type { Catalog } from '../../store/index.ts'
import { UsageError } from '../exit.ts'

/** What data/sources describes, and of it what is wanted. */
export interface OpenedSources {
  readonly files: readonly SourceFile[]
  readonly sources: readonly Source[]
}

/** The sources of these ids; without any all but those that have to be named. Throws UsageError for an unknown one. */
export async function openSources(
  ids: readonly string[],
  tempDir: string,
  keyFiles: readonly string[] = [],
): Promise<OpenedSources> {
  const files = await loadSources(join(packageRoot, 'data/sources'))
  const all = createSources(files, {
    keysDir: join(packageRoot, 'data/keys'),
    keyFiles,
    aptRoot: '/',
    tempDir,
    now: () => new Date(),
  })
  return { files, sources: pickSources(all, files, ids) }
}

/** What indexes said, remembered in a catalog. */
export function indexCache(catalog: Catalog): IndexCache {
  return {
    get: (key) => catalog.indexMemo(key),
    put: (key, memo) => catalog.putIndexMemo(key, memo),
  }
}

function pickSources(
  all: readonly Source[],
  files: readonly SourceFile[],
  ids: readonly string[],
): readonly Source[] {
  const unknown = ids.filter((id) => !all.some((source) => source.id === id))
  if (unknown.length > 0) {
    throw new UsageError(
      `no source ${unknown.join(', ')}; there are: ${all.map((source) => source.id).join(', ')}`,
    )
  }
  const wanted =
    ids.length > 0 ? ids : files.filter((file) => file.onlyWhenNamed === undefined).map(({ id }) => id)
  return all.filter((source) => wanted.includes(source.id))
}
