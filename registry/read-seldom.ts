/**
 * A reading that many ask for and that costs something: at most one in `everyMs`, shared by all who ask meanwhile. One that
 * fails is told to those who waited for it and not kept.
 */
export function readSeldom<T>(everyMs: number, read: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly reading: Promise<T> } | null = null
  return () => {
    const at = performance.now()
    if (last !== null && at < last.at + everyMs) return last.reading
    const reading = read()
    const mine = { at, reading }
    last = mine
    reading.catch(() => {
      if (last === mine) last = null
    })
    return reading
  }
}
