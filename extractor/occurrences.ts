/**
 * Where any of `needles` is in `bytes`, ascending. Each needle is searched for only behind its last occurrence, so
 * that bytes full of one needle do not cost a search for the others each time.
 */
export function* occurrences(
  bytes: Buffer,
  needles: readonly Buffer[],
  start: number,
): Generator<{ readonly at: number; readonly needle: Buffer }, void, undefined> {
  const next = needles.map((needle) => ({ needle, at: bytes.indexOf(needle, Math.max(start, 0)) }))
  for (;;) {
    let first: (typeof next)[number] | null = null
    for (const one of next) if (one.at >= 0 && (first === null || one.at < first.at)) first = one
    if (first === null) return
    yield { at: first.at, needle: first.needle }
    first.at = bytes.indexOf(first.needle, first.at + 1)
  }
}
