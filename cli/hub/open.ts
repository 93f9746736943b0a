import { createLog, type Log } from '../../core/log.ts'
import { openStore, type Store } from '../../store/index.ts'
import type { Invocation } from '../main.ts'

/** Runs `handler` with the store of `--data`, which is closed afterwards whatever happens. */
export async function withStore<T>(
  options: { readonly data: string; readonly readOnly?: boolean },
  invocation: Invocation,
  handler: (store: Store, log: Log) => Promise<T>,
): Promise<T> {
  const log = createLog(invocation.logLevel)
  const store = await openStore(options.data, { readOnly: options.readOnly ?? false })
  try {
    return await handler(store, log)
  } finally {
    await store.close()
  }
}
