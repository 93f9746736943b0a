/** A chain of proxies and hubs is short; what is longer goes in circles. */
const MAX_VIA_LENGTH = 1000

/**
 * True where a request has come, by its `Via` (RFC 9110 7.6.3), through the hub of that pseudonym: one that is asking us
 * while we would ask it.
 */
export function hasPassed(via: string | undefined, pseudonym: string | undefined): boolean {
  if (via === undefined || pseudonym === undefined) return false
  return via.length > MAX_VIA_LENGTH || via.split(',').some((hop) => hop.trim().split(/\s+/)[1] === pseudonym)
}
