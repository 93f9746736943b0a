import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log } from '../../core/log.ts'
import type { Store } from '../../store/index.ts'
import { readSigningKeys } from '../hub/keys.ts'
import { IndexFolder } from '../live-index/index-folder.ts'
import { LiveIndex } from '../live-index/live-index.ts'
import { publishInThread } from '../live-index/publish-thread.ts'
import { durationMs, type Effective } from './settings.ts'

/** In the data folder; the format's version is in the name. */
const FOLDER = 'index-v1'

/** Opens the signed index of a hub; where its data folder takes no writes, in a temporary one. Throws IndexError `BAD_KEY`. */
export async function withSignedIndex(
  values: Effective,
  { store, readOnly, log }: { readonly store: Store; readonly readOnly: boolean; readonly log: Log },
  handler: (index: LiveIndex) => Promise<void>,
): Promise<void> {
  const path = readOnly ? await mkdtemp(join(tmpdir(), 'btfhub-index-')) : join(values.data, FOLDER)
  const task = {
    dataDir: values.data,
    folder: path,
    keyFiles: values['sign-key'],
    lifetimeMs: durationMs(values['index-lifetime']),
  }
  const index = new LiveIndex({
    catalog: store.catalog,
    folder: new IndexFolder(path),
    keys: () => readSigningKeys(task.dataDir, task.keyFiles),
    publish: (signal) => publishInThread(task, signal),
    lifetimeMs: task.lifetimeMs,
    now: () => new Date(),
    log,
  })
  try {
    await index.start()
    await handler(index)
  } finally {
    await index.close()
    if (readOnly) await rm(path, { recursive: true, force: true })
  }
}
