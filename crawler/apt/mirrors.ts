import { givenMirrors, serves } from '../given-mirrors.ts'
import type { AptIndex } from '../schema.ts'
import type { AptEntry } from './apt-config.ts'

export type AptArchive = AptIndex['archives'][number]

/** One place to ask for an archive. */
export interface Mirror {
  /** Without a slash at the end. */
  readonly base: string
  readonly keyFiles: readonly string[]
  readonly inlineKeys: readonly string[]
  readonly checkValidUntil: boolean
  /** True where the user named it: that is trust enough where there are no keys. */
  readonly given: boolean
}

/**
 * Where to ask for each archive, in order: the mirrors that were given and nobody else; else what the machine's apt
 * uses, then the source's own.
 */
export function mirrorsOf(
  index: AptIndex,
  given: readonly string[],
  entries: readonly AptEntry[],
): ReadonlyMap<string, readonly Mirror[]> {
  if (given.length > 0) {
    const bases = givenMirrors(index.archives, given)
    return new Map(
      [...bases].map(([id, list]) => [id, list.map((base) => ({ ...plainMirror(base), given: true }))]),
    )
  }
  return new Map(
    index.archives.map((archive) => {
      const own = archive.mirrors.map((base) => plainMirror(base))
      return [archive.id, unique([...machineMirrors(index, archive, entries), ...own])]
    }),
  )
}

/** Entries of this archive: by the name of a suite, or else by the end of the URL (`stable` is any suite's name). */
function machineMirrors(index: AptIndex, archive: AptArchive, entries: readonly AptEntry[]): Mirror[] {
  const suites = Object.values(index.versions).flat()
  const archiveOf = (suite: string): string | null =>
    suites.find((known) => known.suite === suite)?.archive ?? null
  return entries
    .filter((entry) => entry.components.some((component) => index.components.includes(component)))
    .flatMap((entry) =>
      entry.uris
        .filter((uri) => /^(?:https?|file):/.test(uri))
        .filter((uri) =>
          entry.suites.some(
            (suite) => (archiveOf(suite) ?? (serves(uri, archive) ? archive.id : null)) === archive.id,
          ),
        )
        .map((base) => ({
          base,
          keyFiles: entry.keyFiles,
          inlineKeys: entry.inlineKeys,
          checkValidUntil: entry.checkValidUntil,
          given: false,
        })),
    )
}

function plainMirror(base: string): Mirror {
  return { base, keyFiles: [], inlineKeys: [], checkValidUntil: true, given: false }
}

function unique(mirrors: readonly Mirror[]): Mirror[] {
  return mirrors.filter(({ base }, at) => mirrors.findIndex((other) => other.base === base) === at)
}
