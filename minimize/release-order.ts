/**
 * Orders releases as people count: runs of digits as numbers, all else as text. Serves every distribution's releases
 * within one series.
 */
export function compareReleases(a: string, b: string): number {
  const [left, right] = [parts(a), parts(b)]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [x, y] = [left[i], right[i]]
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1
    if (x === y) continue
    if (typeof x === 'bigint' && typeof y === 'bigint') return x < y ? -1 : 1
    return String(x) < String(y) ? -1 : 1
  }
  return 0
}

/** The kernel's own version in a release, `5.10` of `5.10.0-30-cloud-amd64`; null where it starts otherwise. */
export function mainlineSeries(release: string): string | null {
  return /^\d+\.\d+/.exec(release)?.[0] ?? null
}

function parts(release: string): (bigint | string)[] {
  return (release.match(/\d+|\D+/g) ?? []).map((part) => (/^\d/.test(part) ? BigInt(part) : part))
}
