import { readXml } from '../xml.ts'
import type { RawRpm, RpmEntries } from '../rpm/entries.ts'
import { collector } from './collector.ts'

type Draft = { -readonly [Field in keyof RawRpm]: RawRpm[Field] }

/**
 * The packages of a `primary.xml` whose names `accept`s, as they stream by: nothing else is kept. Throws `MALFORMED`
 * where it is no such file or a bound of `core/limits` is crossed.
 */
export async function readPrimaryXml(
  name: string,
  chunks: AsyncIterable<Uint8Array>,
  accept: (packageName: string) => boolean,
): Promise<RpmEntries> {
  const found = collector(name, accept)
  const path: string[] = []
  let draft: Draft | null = null
  let text = ''
  await readXml(name, chunks, {
    open(tag, attributes) {
      path.push(tag)
      if (path.length === 2 && tag === 'package') draft = empty()
      // What is deeper describes files and dependencies.
      if (draft === null || path.length !== 3) return
      text = ''
      if (tag === 'version') {
        draft.version = attributes.ver ?? null
        draft.release = attributes.rel ?? null
      } else if (tag === 'location') {
        draft.href = attributes.href ?? null
        draft.base = attributes['xml:base'] ?? null
      } else if (tag === 'size') draft.size = attributes.package ?? null
      else if (tag === 'time') draft.time = attributes.build ?? attributes.file ?? null
      else if (tag === 'checksum') draft.checksumType = attributes.type ?? null
    },
    text(more) {
      if (draft !== null && path.length === 3) text += more
    },
    close(tag) {
      path.pop()
      if (draft === null) return
      if (path.length === 2) {
        if (tag === 'name') draft.name = text.trim()
        else if (tag === 'arch') draft.arch = text.trim()
        else if (tag === 'checksum') draft.checksum = text.trim()
      } else if (path.length === 1) {
        found.add(draft)
        draft = null
      }
    },
  })
  return found.entries()
}

function empty(): Draft {
  return {
    name: '',
    version: null,
    release: null,
    arch: null,
    href: null,
    base: null,
    size: null,
    checksumType: null,
    checksum: null,
    time: null,
  }
}
