import type { Btf } from './btf.ts'
import { essentialName, isIndexed } from './name-index.ts'

const UNDERSCORE = 0x5f

/** Places of a table by the first two bytes of a name. */
const TABLE_SIZE = 4096

/**
 * Own ids of a BTF's types by essential name, ascending, for a few names at once: one pass that looks at two bytes of
 * most names, where a {@link NameIndex} has to hash all of them. Pays for who asks once, as a single tool does.
 */
export function scanNames(btf: Btf, names: readonly string[]): Map<string, number[]> {
  const found = new Map<string, number[]>(names.map((name) => [name, []]))
  const { buckets, byStart } = bucketsOf([...found.keys()])
  const { words, starts, strings, firstId } = btf
  const { bytes, start: stringsStart, end: stringsEnd } = strings
  const count = starts.length - 1
  for (let i = 0; i < count; i++) {
    const start = starts[i] as number
    const nameOffset = words[start] as number
    if (nameOffset === 0 || !isIndexed(((words[start + 1] as number) >>> 24) & 0x7f)) continue
    // A name behind the end is left to whoever validates; one of the base's is rare, and compared as it is.
    if (nameOffset >= stringsEnd) continue
    const at = nameOffset - stringsStart
    if (at >= 0) {
      const bucket = byStart[place(bytes[at] as number, bytes[at + 1] as number)] as number
      if (bucket === 0 || !mayBeOne(bytes, at, buckets[bucket - 1] as readonly Uint8Array[])) continue
    }
    found.get(essentialName(btf.name(firstId + i)))?.push(firstId + i)
  }
  return found
}

/** Names that begin alike, and for each place of the table the number of those that belong there, from 1. */
function bucketsOf(names: readonly string[]): { buckets: Uint8Array[][]; byStart: Uint16Array } {
  const byStart = new Uint16Array(TABLE_SIZE)
  const buckets: Uint8Array[][] = []
  for (const name of names) {
    const bytes = Buffer.from(name, 'latin1')
    for (const second of bytes.length > 1 ? [bytes[1] as number] : [0, UNDERSCORE]) {
      const at = place(bytes[0] ?? 0, second)
      if (byStart[at] === 0) byStart[at] = buckets.push([])
      buckets[(byStart[at] as number) - 1]?.push(bytes)
    }
  }
  return { buckets, byStart }
}

function place(first: number, second: number): number {
  return (first | (second << 6)) & (TABLE_SIZE - 1)
}

/** Whether the name at `at` is one of these, or one of these and what may be a flavor. */
function mayBeOne(bytes: Uint8Array, at: number, names: readonly Uint8Array[]): boolean {
  for (const name of names) {
    const { length } = name
    let same = 0
    while (same < length && bytes[at + same] === name[same]) same++
    const next = bytes[at + length]
    if (same === length && (next === 0 || next === UNDERSCORE)) return true
  }
  return false
}
