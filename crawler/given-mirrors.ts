import type { Index } from './schema.ts'
import { CrawlError } from './types.ts'

type Archive = Index['archives'][number]

/**
 * The base URLs of each archive (by its id) among the mirrors that were given: `http://host/debian` serves the archive
 * of that name, `http://host/debian-security` beside it is taken for its sibling unless another mirror was given for
 * that, and a URL without a telling name is taken for the first archive. Throws `BAD_SOURCE` for what is no base URL.
 */
export function givenMirrors(
  archives: readonly Archive[],
  given: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const [first] = archives
  const found = new Map<string, string[]>(archives.map(({ id }) => [id, []]))
  const bases = given.map(checkBase)
  for (const base of bases) {
    const archive = archives.find((candidate) => serves(base, candidate)) ?? first
    if (archive !== undefined) found.get(archive.id)?.push(base)
  }
  for (const archive of archives) {
    const mirrors = found.get(archive.id)
    if (mirrors === undefined || mirrors.length > 0) continue
    for (const base of bases) {
      const sibling = archives.find(({ name }) => base.endsWith(`/${name}`))
      if (sibling !== undefined) mirrors.push(base.slice(0, -sibling.name.length) + archive.name)
    }
  }
  return found
}

/**
 * The mirrors of those given that can be a source's: not those that end like an archive of another source and like none
 * of its own. One crawl of several sources is given the mirrors of all of them.
 */
export function mirrorsFor(
  own: readonly Archive[],
  others: readonly Archive[],
  given: readonly string[],
): readonly string[] {
  const named = (base: string, archives: readonly Archive[]): boolean =>
    archives.some(({ name }) => base.replace(/\/+$/, '').endsWith(`/${name}`))
  return given.filter((base) => named(base, own) || !named(base, others))
}

/** True where a base URL's end says that it is a mirror of this archive. */
export function serves(base: string, archive: Archive): boolean {
  return base.endsWith(`/${archive.name}`) || base.endsWith(`-${archive.id}`)
}

function checkBase(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (
    url === null ||
    !['http:', 'https:', 'file:'].includes(url.protocol) ||
    url.search !== '' ||
    url.hash !== ''
  ) {
    throw new CrawlError(
      'BAD_SOURCE',
      `mirror ${JSON.stringify(text)}: expected a base URL like http://host/debian`,
    )
  }
  return text.replace(/\/+$/, '')
}
