import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createDerived, type Derived } from './derive.ts'
import { blobTempDir, openDiskBlobs } from './disk-blobs.ts'
import { writeError } from './io-errors.ts'
import { openCatalog } from './sqlite-catalog.ts'
import { removeStaleTempFiles } from './temp-files.ts'
import type { BlobStore, Catalog } from './types.ts'

/** All that a hub keeps. */
export interface Store {
  readonly catalog: Catalog
  readonly blobs: BlobStore
  readonly derived: Derived
  /** For unfinished work, on the same disk; files named by `core/temp-file` are removed when their process is dead. */
  readonly tempDir: string
  /** Every folder that unfinished work may be in. */
  readonly tempDirs: readonly string[]
  /** Waits for what is under way, and closes the catalog. */
  close(): Promise<void>
}

/**
 * Opens the store in a data folder: `catalog.sqlite`, `blobs-v1/`, `tmp/`, `locks/`. Made where there is none, and
 * cleared of what killed processes left; with `readOnly` nothing is written (but for what SQLite keeps beside a database
 * to share it, where it may). Throws as `openCatalog` and `openDiskBlobs` say.
 */
export async function openStore(dataDir: string, options: { readOnly?: boolean } = {}): Promise<Store> {
  const tempDir = join(dataDir, 'tmp')
  if (options.readOnly !== true) await prepare(dataDir)
  const blobs = await openDiskBlobs(dataDir, options)
  const catalog = await openCatalog(join(dataDir, 'catalog.sqlite'), options)
  const derived = createDerived({ blobs, catalog })
  return {
    catalog,
    blobs,
    derived,
    tempDir,
    tempDirs: [...ownTempDirs(dataDir), blobTempDir(dataDir)],
    async close() {
      await derived.settle()
      await catalog.close()
    },
  }
}

/** Where files are being written, besides the blobs' own place: reports and lock holders beside what they become. */
function ownTempDirs(dataDir: string): string[] {
  return [join(dataDir, 'tmp'), dataDir, join(dataDir, 'locks')]
}

async function prepare(dataDir: string): Promise<void> {
  const tempDir = join(dataDir, 'tmp')
  try {
    await mkdir(tempDir, { recursive: true })
  } catch (err) {
    throw writeError(`making the data folder ${tempDir}`, err)
  }
  for (const dir of ownTempDirs(dataDir)) await removeStaleTempFiles(dir)
}
