import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore, type Store } from '../../store/index.ts'

export { sampleBuild, type SampleBuild } from '../../store/sample.fixture.ts'

/** A store in a new folder of its own. */
export interface TestStore extends Store {
  readonly dataDir: string
  /** Closes the store and removes its folder. */
  cleanUp(): Promise<void>
}

/** Opens a store in a new folder; for `beforeAll`. Its user cleans up. */
export async function openTestStore(): Promise<TestStore> {
  const dataDir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  const store = await openStore(dataDir)
  return {
    ...store,
    dataDir,
    async cleanUp() {
      await store.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** Runs `handler` with a store in a new folder, and removes it afterwards; for one test. */
export async function withTestStore<T>(handler: (store: TestStore) => Promise<T>): Promise<T> {
  const store = await openTestStore()
  try {
    return await handler(store)
  } finally {
    await store.cleanUp()
  }
}
