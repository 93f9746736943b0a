/** What identifies the representation that would be sent. */
export interface Representation {
  /** Strong, with its quotes. */
  readonly etag: string
  /** Null where nobody knows. */
  readonly lastModified: Date | null
}

/** The conditional headers of a request; undefined where they are not there. */
export interface Conditions {
  readonly ifMatch: string | undefined
  readonly ifNoneMatch: string | undefined
  readonly ifModifiedSince: string | undefined
  readonly ifUnmodifiedSince: string | undefined
}

/**
 * What conditions of a GET or HEAD come to, in the order of RFC 9110 13.2.2: go on, 304 or 412. Dates that are none
 * are ignored, as 13.1.3 and 13.1.4 want it.
 */
export function evaluate(conditions: Conditions, current: Representation): 'go' | 'not-modified' | 'failed' {
  const { ifMatch, ifNoneMatch } = conditions
  if (ifMatch !== undefined) {
    if (!listed(ifMatch, current.etag, false)) return 'failed'
  } else if (current.lastModified !== null) {
    const since = parseHttpDate(conditions.ifUnmodifiedSince)
    if (since !== null && seconds(current.lastModified) > seconds(since)) return 'failed'
  }
  if (ifNoneMatch !== undefined) return listed(ifNoneMatch, current.etag, true) ? 'not-modified' : 'go'
  const since = parseHttpDate(conditions.ifModifiedSince)
  if (since === null || current.lastModified === null) return 'go'
  return seconds(current.lastModified) <= seconds(since) ? 'not-modified' : 'go'
}

/** Whether `If-Range` lets a range be sent: only where it names exactly these bytes (RFC 9110 13.1.5). */
export function rangeIsCurrent(ifRange: string | undefined, current: Representation): boolean {
  if (ifRange === undefined) return true
  const tag = ifRange.trim()
  if (tag.startsWith('"') || tag.startsWith('W/')) return tag === current.etag
  const date = parseHttpDate(tag)
  return date !== null && current.lastModified !== null && seconds(date) === seconds(current.lastModified)
}

/** `Sun, 06 Nov 1994 08:49:37 GMT`. */
export function formatHttpDate(date: Date): string {
  return date.toUTCString()
}

/** An HTTP date in any of the three forms of RFC 9110 5.6.7; null where it is none. */
export function parseHttpDate(text: string | undefined): Date | null {
  if (text === undefined) return null
  const time = '\\d{2}:\\d{2}:\\d{2}'
  const asctime = new RegExp(`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \\d]\\d ${time} \\d{4}$`)
  const others = new RegExp(`^[A-Z][a-z]+, \\d{2}[ -][A-Z][a-z]{2}[ -](?:\\d{4}|\\d{2}) ${time} GMT$`)
  const trimmed = text.trim()
  if (!asctime.test(trimmed) && !others.test(trimmed)) return null
  const date = new Date(asctime.test(trimmed) ? `${trimmed} GMT` : trimmed)
  return Number.isNaN(date.getTime()) ? null : date
}

/** Whether a list of entity tags has this strong one; a weak tag counts only in weak comparison (8.8.3.2). */
function listed(list: string, etag: string, weak: boolean): boolean {
  if (list.trim() === '*') return true
  return [...list.matchAll(/(W\/)?("[^"]*")/g)].some(
    ([, weakMark, tag]) => tag === etag && (weak || weakMark === undefined),
  )
}

/** HTTP dates have whole seconds. */
function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000)
}
