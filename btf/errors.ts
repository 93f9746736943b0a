import { HubError } from '../core/errors.ts'

/**
 * `NOT_BTF`: the bytes are something else. `MALFORMED`: BTF that contradicts itself; the message names type id and
 * byte offset. `UNSUPPORTED`: a kind or version that the file does not describe well enough to skip. `NEEDS_BASE`:
 * split BTF without its base. `NOT_ELF`, `NO_SECTION`: about ELF files. `LIMIT`: more than `core/limits` allows.
 */
export type BtfErrorCode =
  'NOT_BTF' | 'MALFORMED' | 'UNSUPPORTED' | 'NEEDS_BASE' | 'NOT_ELF' | 'NO_SECTION' | 'LIMIT'

export class BtfError extends HubError<BtfErrorCode> {}

/** A malformed type: every such message starts alike, so that a person finds the record with a hex dump. */
export function malformedType(id: number, byteOffset: number, problem: string): BtfError {
  return new BtfError('MALFORMED', `type id ${id} at byte ${byteOffset}: ${problem}`)
}
