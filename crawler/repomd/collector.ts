import { limits } from '../../core/limits.ts'
import { parseRpmEntry, type RawRpm, type RpmEntries, type RpmEntry } from '../rpm/entries.ts'
import { CrawlError } from '../types.ts'

/** Gathers the packages of one index whose names `accept`s. */
export function collector(
  name: string,
  accept: (packageName: string) => boolean,
): {
  /** Throws `MALFORMED` for more of them than any real index has. */
  add(raw: RawRpm): void
  entries(): RpmEntries
} {
  const entries: RpmEntry[] = []
  let skipped = 0
  return {
    add(raw) {
      if (!accept(raw.name)) return
      const entry = parseRpmEntry(raw)
      if (entry === null) skipped++
      else entries.push(entry)
      if (entries.length > limits.index.maxPackages) {
        throw new CrawlError('MALFORMED', `${name}: more than ${limits.index.maxPackages} kernel packages`)
      }
    },
    entries: () => ({ entries, skipped }),
  }
}
