/**
 * True where a request comes, by its `Via` (RFC 9110 7.6.3), from the hub of that pseudonym: one that is asking us while
 * we would ask it.
 */
export function isFromUs(via: string | undefined, pseudonym: string | undefined): boolean {
  if (via === undefined || pseudonym === undefined) return false
  return via.split(',').some((hop) => hop.trim().split(/\s+/)[1] === pseudonym)
}
