/** Content codings that a hub has ready, best first where the asker has no preference. */
export const ENCODINGS = ['br', 'zstd', 'gzip', 'identity'] as const
export type Encoding = (typeof ENCODINGS)[number]

/** Without the header anything may be sent, but only identity is understood by everybody who does not send it. */
const ONLY_IDENTITY: readonly Encoding[] = ['identity']

/**
 * The codings that `Accept-Encoding` allows, best first (RFC 9110 12.5.3): by weight, then as {@link ENCODINGS} lists
 * them; identity last unless it is named, and never where it is refused. What cannot be parsed counts as not said.
 */
export function acceptableEncodings(acceptEncoding: string | undefined): readonly Encoding[] {
  if (acceptEncoding === undefined) return ONLY_IDENTITY
  const weights = parseWeights(acceptEncoding)
  const any = weights.get('*')
  const weightOf = (encoding: Encoding): number => {
    const named = weights.get(encoding)
    if (named !== undefined) return named
    if (encoding !== 'identity') return any ?? 0
    return any === 0 ? 0 : Number.MIN_VALUE
  }
  return ENCODINGS.filter((encoding) => weightOf(encoding) > 0).sort((a, b) => weightOf(b) - weightOf(a))
}

function parseWeights(text: string): Map<string, number> {
  const weights = new Map<string, number>()
  for (const part of text.split(',')) {
    const match = /^\s*([\w*-]+)\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?$/i.exec(part)
    if (match === null) continue
    const coding = (match[1] as string).toLowerCase()
    weights.set(coding === 'x-gzip' ? 'gzip' : coding, Number(match[2] ?? 1))
  }
  return weights
}
