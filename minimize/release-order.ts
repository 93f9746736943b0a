/**
 * Orders releases as rpm orders versions (rpmvercmp): runs of digits as numbers and runs of letters as text, what
 * stands between them aside; a number comes after a text, so that `1160.el7` is before `1160.2.1.el7`. Serves every
 * distribution's releases within one series. Equal only for equal releases.
 */
export function compareReleases(a: string, b: string): number {
  const [left, right] = [parts(a), parts(b)]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [x, y] = [left[i], right[i]]
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1
    if (x === y) continue
    if (typeof x === typeof y) return x < y ? -1 : 1
    return typeof x === 'string' ? -1 : 1
  }
  return a < b ? -1 : a > b ? 1 : 0
}

/** The kernel's own version in a release, `5.10` of `5.10.0-30-cloud-amd64`; null where it starts otherwise. */
export function mainlineSeries(release: string): string | null {
  return /^\d+\.\d+/.exec(release)?.[0] ?? null
}

function parts(release: string): (bigint | string)[] {
  return (release.match(/\d+|[a-zA-Z]+/g) ?? []).map((part) => (/^\d/.test(part) ? BigInt(part) : part))
}
