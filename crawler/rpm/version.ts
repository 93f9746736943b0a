/**
 * Orders two `VERSION-RELEASE` of rpm packages as rpm does (rpmio/rpmvercmp.cc): negative where `a` is the older.
 * Unlike dpkg it takes `1160.2.1.el7` for newer than `1160.el7`: numbers are newer than letters.
 */
export function compareRpmVersions(a: string, b: string): number {
  const [versionA, releaseA] = split(a)
  const [versionB, releaseB] = split(b)
  return compareLabels(versionA, versionB) || compareLabels(releaseA, releaseB)
}

/** The version has no hyphen, the release has none either. */
function split(evr: string): readonly [string, string] {
  const hyphen = evr.indexOf('-')
  return hyphen < 0 ? [evr, ''] : [evr.slice(0, hyphen), evr.slice(hyphen + 1)]
}

function compareLabels(a: string, b: string): number {
  const left = segments(a)
  const right = segments(b)
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = compareSegments(left[at], right[at])
    if (difference !== 0) return difference
  }
  return 0
}

/** Runs of digits, of letters, and `~` and `^`; all else only separates. */
function segments(label: string): readonly string[] {
  return label.match(/\d+|[A-Za-z]+|[~^]/g) ?? []
}

/** `~` is older than the end, `^` newer than it but older than anything else, numbers are newer than letters. */
function compareSegments(a: string | undefined, b: string | undefined): number {
  const ranks = rank(a) - rank(b)
  if (ranks !== 0 || a === undefined || b === undefined) return ranks
  if (!/^\d/.test(a)) return a < b ? -1 : a > b ? 1 : 0
  const left = a.replace(/^0+/, '')
  const right = b.replace(/^0+/, '')
  if (left.length !== right.length) return left.length - right.length
  return left < right ? -1 : left > right ? 1 : 0
}

function rank(segment: string | undefined): number {
  if (segment === '~') return -1
  if (segment === undefined) return 0
  if (segment === '^') return 1
  return /^\d/.test(segment) ? 3 : 2
}
