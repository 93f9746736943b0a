/**
 * Orders two Debian versions as dpkg does, deb-version(5): negative where `a` is the older. Anything is accepted: what
 * dpkg would call malformed is compared by the same rules.
 */
export function compareDebianVersions(a: string, b: string): number {
  const left = split(a)
  const right = split(b)
  return (
    compareNumbers(left.epoch, right.epoch) ||
    compareParts(left.upstream, right.upstream) ||
    compareParts(left.revision, right.revision)
  )
}

function split(version: string): { epoch: string; upstream: string; revision: string } {
  const colon = version.indexOf(':')
  const epoch = colon < 0 ? '' : version.slice(0, colon)
  const rest = version.slice(colon + 1)
  const hyphen = rest.lastIndexOf('-')
  return hyphen < 0
    ? { epoch, upstream: rest, revision: '' }
    : { epoch, upstream: rest.slice(0, hyphen), revision: rest.slice(hyphen + 1) }
}

/** Non-digits and digits in turn, from the left, until one differs. */
function compareParts(a: string, b: string): number {
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    const textA = /^\D*/.exec(a.slice(i))?.[0] ?? ''
    const textB = /^\D*/.exec(b.slice(j))?.[0] ?? ''
    const byText = compareText(textA, textB)
    if (byText !== 0) return byText
    i += textA.length
    j += textB.length
    const digitsA = /^\d*/.exec(a.slice(i))?.[0] ?? ''
    const digitsB = /^\d*/.exec(b.slice(j))?.[0] ?? ''
    const byNumber = compareNumbers(digitsA, digitsB)
    if (byNumber !== 0) return byNumber
    i += digitsA.length
    j += digitsB.length
  }
  return 0
}

/** `~` before the end of the part, the end before letters, letters before all else. */
function compareText(a: string, b: string): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = rank(a[i]) - rank(b[i])
    if (difference !== 0) return difference
  }
  return 0
}

function rank(character: string | undefined): number {
  if (character === undefined) return 0
  if (character === '~') return -1
  return character.charCodeAt(0) + (/[A-Za-z]/.test(character) ? 0 : 0x1_0000)
}

/** As numbers of any length; no digits are zero. */
function compareNumbers(a: string, b: string): number {
  const left = a.replace(/^0+/, '')
  const right = b.replace(/^0+/, '')
  if (left.length !== right.length) return left.length - right.length
  return left < right ? -1 : left > right ? 1 : 0
}
