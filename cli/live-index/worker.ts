/** A thread that makes one signed index and ends: what that takes of time and memory is not the registry's. */
import { parentPort, workerData } from 'node:worker_threads'
import { openStore, StoreError } from '../../store/index.ts'
import { readSigningKeys } from '../hub/keys.ts'
import { IndexFolder } from './index-folder.ts'
import type { PublishAnswer, PublishTask } from './publish-thread.ts'
import { publishIndex } from './publish.ts'

// What is thrown here is the thread's `error`.
parentPort?.postMessage(await work(workerData as PublishTask))

async function work({ dataDir, folder, keyFiles, lifetimeMs }: PublishTask): Promise<PublishAnswer> {
  const store = await openStore(dataDir, { readOnly: true })
  try {
    const keys = await readSigningKeys(dataDir, keyFiles)
    const options = { keys, lifetimeMs, now: new Date() }
    return { published: await publishIndex(store.catalog, new IndexFolder(folder), options) }
  } catch (err) {
    if (err instanceof StoreError && err.code === 'BUSY') return { busy: true }
    throw err
  } finally {
    await store.close()
  }
}
