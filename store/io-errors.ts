import { StoreError } from './types.ts'

/** The system's code of a failed call (`ENOENT`); undefined for any other error. */
export function errnoOf(err: unknown): string | undefined {
  const code: unknown = err instanceof Error ? (err as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : undefined
}

/** What a failed reading means to callers: never "not there", which the callers tell apart before. */
export function readError(act: string, err: unknown): StoreError {
  return err instanceof StoreError ? err : new StoreError('IO', `${act} failed`, { cause: err })
}

/** What a failed writing means to callers: a place that does not take writes, or a disk that is full or ill. */
export function writeError(act: string, err: unknown): StoreError {
  if (err instanceof StoreError) return err
  const code = errnoOf(err) ?? ''
  // Node's recursive mkdir says ENOENT for a folder that it may not make on a read-only file system.
  const refused =
    ['EROFS', 'EACCES', 'EPERM'].includes(code) ||
    (code === 'ENOENT' && (err as NodeJS.ErrnoException).syscall === 'mkdir')
  return new StoreError(refused ? 'READ_ONLY' : 'IO', `${act} failed`, { cause: err })
}
