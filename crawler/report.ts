import type { Arch } from '../core/kernel.ts'
import type { Absentable } from './absences.ts'
import type { IndexReport } from './types.ts'

/** One index that was wanted, and what became of it. */
export interface Reportable extends Absentable {
  /** `debian/12 bookworm-security amd64`. */
  readonly label: string
  readonly version: string
  readonly arch: Arch
  /** The archive whose mirrors have it. */
  readonly archive: string
  /** True for what does not change any more, and may leave the mirrors. */
  readonly frozen: boolean
  /** Bytes that came for it, whatever it was. */
  readonly bytes: number
  /** Where it was looked for last. */
  readonly url: string
  readonly found: FoundReport | null
}

export interface FoundReport {
  readonly outcome: 'new' | 'unchanged'
  readonly url: string
  readonly signed: boolean
  /** Entries that cannot be used. */
  readonly skipped: number
}

/** What became of an index, for the one who started the crawl; `entries` is what the index has many of. */
export function reportOf(unit: Reportable, entries: string): IndexReport {
  const { label: index, version, arch, bytes, found, troubles, absentAt, notBefore } = unit
  const of = { index, version, arch, bytes }
  if (found !== null) {
    const { url, outcome, signed, skipped } = found
    const reasons = [...(skipped === 0 ? [] : [`${skipped} unusable ${entries}`]), ...troubles]
    return { ...of, url, outcome, signed, reason: reasons.length === 0 ? null : reasons.join('; ') }
  }
  // Some mirror may have what another has not; so one that could not be asked leaves it open. What is frozen is
  // different: it leaves the mirrors for good, and what it had is known already.
  const outcome = absentAt !== null && (troubles.length === 0 || unit.frozen) ? 'absent' : 'failed'
  const reasons = [...(absentAt === null ? [] : [`not at ${absentAt}`]), ...troubles]
  const reason = reasons.length === 0 ? `no mirror of ${unit.archive} to ask` : reasons.join('; ')
  const rest = notBefore === null ? {} : { notBefore }
  return {
    ...of,
    url: unit.url === '' ? (absentAt ?? '') : unit.url,
    outcome,
    signed: false,
    reason,
    ...rest,
  }
}
