import { once } from 'node:events'
import { pino } from 'pino'
import type { AccessLog } from '../../registry/index.ts'

/** An access log in a file. */
export interface AccessFile extends AccessLog {
  /** Opens the file anew, after somebody has moved it away. */
  reopen(): void
  /** Writes what is still held. */
  close(): Promise<void>
}

/** Lines are written together once they come to so many bytes, and at least each {@link FLUSH_MS}. */
const BUFFER_BYTES = 8 * 1024
const FLUSH_MS = 1000

/** Appends JSON lines to a file, `-` for stdout. Throws ENOENT and its like. */
export async function openAccessFile(path: string): Promise<AccessFile> {
  const destination = pino.destination({
    dest: path === '-' ? 1 : path,
    sync: false,
    minLength: BUFFER_BYTES,
    maxLength: 64 * BUFFER_BYTES,
    periodicFlush: FLUSH_MS,
  })
  if (path !== '-') await once(destination, 'ready')
  const log = pino({ level: 'info', base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
  return {
    write: (entry) => log.info(entry, 'request'),
    reopen() {
      if (path !== '-') destination.reopen()
    },
    close: () =>
      new Promise((resolve) => {
        destination.once('close', resolve)
        destination.once('error', () => resolve())
        destination.end()
      }),
  }
}
