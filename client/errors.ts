import { HubError } from '../core/errors.ts'
import type { Choice, Problem } from '../registry/api.ts'

/**
 * `NOT_FOUND`: no hub has it. `AMBIGUOUS`: several builds match; `choices` has them. `UNVERIFIED`: what came is not
 * what it should be. `UNAVAILABLE`: a hub could not be asked, so nobody knows; try again later. `BAD_REQUEST`: the
 * question makes no sense. `FAILED`: this machine refused (disk, permissions).
 */
export type ClientErrorCode =
  'NOT_FOUND' | 'AMBIGUOUS' | 'UNVERIFIED' | 'UNAVAILABLE' | 'BAD_REQUEST' | 'FAILED'

export class ClientError extends HubError<ClientErrorCode> {
  /** With `AMBIGUOUS`: what there is. */
  readonly choices: readonly Choice[]
  /** With `NOT_FOUND`: similar names, as information only. */
  readonly nearest: NonNullable<Problem['nearest']>

  constructor(
    code: ClientErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly problem?: Problem } = {},
  ) {
    super(code, message, options.cause === undefined ? {} : { cause: options.cause })
    this.choices = options.problem?.choices ?? []
    this.nearest = options.problem?.nearest ?? []
  }
}
