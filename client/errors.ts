import { HubError } from '../core/errors.ts'
import { printable } from '../core/printable.ts'
import type { Choice, Problem } from '../registry/api.ts'

/**
 * `NOT_FOUND`: no hub has it. `AMBIGUOUS`: several builds match; `choices` has them. `UNVERIFIED`: what came is not
 * what it should be. `UNAVAILABLE`: a hub could not be asked, so nobody knows; try again later. `PENDING`: a hub is
 * fetching it from a mirror, and it took longer than there was time. `BAD_REQUEST`: the question makes no sense. `REFUSED`: the hub does not do that for who asks, or has something else there. `FAILED`: this machine refused (disk, permissions).
 */
export type ClientErrorCode =
  'NOT_FOUND' | 'AMBIGUOUS' | 'UNVERIFIED' | 'UNAVAILABLE' | 'PENDING' | 'BAD_REQUEST' | 'REFUSED' | 'FAILED'

export class ClientError extends HubError<ClientErrorCode> {
  /** With `AMBIGUOUS`: what there is. */
  readonly choices: readonly Choice[]
  /** With `NOT_FOUND`: similar names, as information only. */
  readonly nearest: NonNullable<Problem['nearest']>
  /** With `PENDING`: after how many milliseconds to ask again. */
  readonly retryAfterMs: number
  /** True where a server has nothing at a path: it serves plain files, or is a hub of another version. */
  readonly isNoRoute: boolean

  constructor(
    code: ClientErrorCode,
    message: string,
    options: {
      readonly cause?: unknown
      readonly problem?: Partial<Problem>
      readonly isNoRoute?: boolean
    } = {},
  ) {
    // Hubs wrote parts of it.
    super(code, printable(message), options.cause === undefined ? {} : { cause: options.cause })
    this.choices = options.problem?.choices ?? []
    this.nearest = options.problem?.nearest ?? []
    this.isNoRoute = options.isNoRoute ?? false
    this.retryAfterMs = (options.problem?.retry_after ?? 0) * 1000
  }
}
