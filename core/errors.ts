/**
 * The base of every error that this project throws on purpose. Each folder has one subclass with a closed union
 * of codes; callers match `err.code`, people read the message: act, subject, expected and got.
 */
export class HubError<Code extends string = string> extends Error {
  readonly code: Code

  constructor(code: Code, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** The message of anything thrown, with the chain of its causes, on one line. */
export function describeError(err: unknown): string {
  if (!(err instanceof Error)) return String(err)
  const cause = err.cause === undefined ? '' : describeError(err.cause)
  // Many an error quotes its cause already.
  const told = cause === '' || err.message.includes(cause)
  return `${err.message}${told ? '' : `: ${cause}`}`.replace(/\s*\n\s*/g, ' ')
}

/** True for the error that an aborted signal causes, however deep it was wrapped. */
export function isAbort(err: unknown): boolean {
  for (let e: unknown = err; e instanceof Error; e = e.cause) {
    if (e.name === 'AbortError' || (e as { code?: unknown }).code === 'ABORT_ERR') return true
  }
  return false
}
