import { describeError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { openStore, type Store, StoreError } from '../../store/index.ts'

/** A store to serve from. */
export interface ServedStore {
  readonly store: Store
  readonly readOnly: boolean
}

/**
 * Opens the store of a data folder; only for reading where that is wanted, or where the folder takes no writes. Throws
 * as `openStore` does.
 */
export async function openServedStore(dataDir: string, readOnly: boolean, log: Log): Promise<ServedStore> {
  if (readOnly) return { store: await openStore(dataDir, { readOnly }), readOnly }
  try {
    return { store: await openStore(dataDir), readOnly: false }
  } catch (err) {
    if (!(err instanceof StoreError) || !takesNoWrites(err)) throw err
    log.warn({ dataDir, err: describeError(err) }, 'the data folder takes no writes: served as it is')
    return { store: await openStore(dataDir, { readOnly: true }), readOnly: true }
  }
}

function takesNoWrites(err: StoreError): boolean {
  if (err.code === 'READ_ONLY') return true
  for (let cause: unknown = err.cause; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return true
  }
  return false
}
