import { describeError, HubError, isAbort } from '../core/errors.ts'

/** What `btfhub` ends with (DESIGN 5); the same in get.sh. */
export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  ambiguous: 4,
  unverified: 5,
  tryLater: 75,
  /** 128 + SIGINT, as shells have it. */
  interrupted: 130,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** A wrong call: what is wrong with it and what would be right. */
export class UsageError extends HubError<'USAGE'> {
  constructor(message: string) {
    super('USAGE', message)
  }
}

/** A command that has told everything already and ends with this code. */
export class Exit extends Error {
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode) {
    super(`exit ${exitCode}`)
    this.exitCode = exitCode
  }
}

/** Error codes of all folders that do not simply mean "failed". */
const BY_CODE: Readonly<Record<string, ExitCode>> = {
  USAGE: ExitCode.usage,
  BAD_NAME: ExitCode.usage,
  BAD_REQUEST: ExitCode.usage,
  NOT_FOUND: ExitCode.notFound,
  AMBIGUOUS: ExitCode.ambiguous,
  UNVERIFIED: ExitCode.unverified,
  BAD_DIGEST: ExitCode.unverified,
  BAD_SIGNATURE: ExitCode.unverified,
  BAD_INDEX: ExitCode.unverified,
  BAD_KEY: ExitCode.usage,
  EXPIRED: ExitCode.unverified,
  ROLLBACK: ExitCode.unverified,
  DAMAGED: ExitCode.unverified,
  NOT_EMPTY: ExitCode.usage,
  FOREIGN: ExitCode.usage,
  CORRUPT: ExitCode.unverified,
  ILL: ExitCode.tryLater,
  NO_MIRROR: ExitCode.tryLater,
  UNAVAILABLE: ExitCode.tryLater,
  BUSY: ExitCode.tryLater,
  PENDING: ExitCode.tryLater,
}

export function exitCodeOf(err: unknown): ExitCode {
  if (err instanceof Exit) return err.exitCode
  if (isAbort(err)) return ExitCode.interrupted
  const code = (err as { code?: unknown } | null)?.code
  // ENOENT and its like come from a path that somebody gave on the command line.
  if (code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR') return ExitCode.usage
  return (typeof code === 'string' ? BY_CODE[code] : undefined) ?? ExitCode.failed
}

/** What a person is told about an error; a stack only for what nobody foresaw. */
export function explain(err: unknown): string {
  if (err instanceof Exit) return ''
  if (isAbort(err)) return 'interrupted'
  const foreseen =
    err instanceof HubError || typeof (err as NodeJS.ErrnoException | null)?.syscall === 'string'
  return foreseen || !(err instanceof Error) ? describeError(err) : (err.stack ?? describeError(err))
}
