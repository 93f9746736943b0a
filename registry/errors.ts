import { HubError } from '../core/errors.ts'
import type { Problem, ProblemCode } from './api.ts'

/** What a problem tells besides its code and detail. */
export type ProblemFacts = Partial<Pick<Problem, 'choices' | 'tells_apart' | 'nearest' | 'retry_after'>>

/**
 * Why a request gets no answer. Its status is decided in middleware/errors alone; `headers` go with the answer
 * (`Allow`, `Retry-After`, `Content-Range`).
 */
export class RegistryError extends HubError<ProblemCode> {
  readonly facts: ProblemFacts
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: ProblemCode,
    message: string,
    options: {
      readonly cause?: unknown
      readonly facts?: ProblemFacts
      readonly headers?: Readonly<Record<string, string>>
    } = {},
  ) {
    super(code, message, options.cause === undefined ? {} : { cause: options.cause })
    this.facts = options.facts ?? {}
    this.headers = options.headers ?? {}
  }
}
