import { mkdir, readdir } from 'node:fs/promises'
import { silentLog } from '../core/log.ts'
import { extract } from './extract.ts'
import { chunks } from './run.fixture.ts'
import type { Extracted, ExtractOptions } from './types.ts'

/** Extracts from bytes in memory, with what most tests want, and proves that no temporary file is left. */
export async function extractBytes(
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
  tempDir: string,
  options: Partial<ExtractOptions> = {},
): Promise<Extracted> {
  await mkdir(tempDir, { recursive: true })
  const before = await readdir(tempDir)
  try {
    return await extract(
      { name: 'sample', bytes: bytes instanceof Uint8Array ? chunks(bytes) : bytes },
      {
        release: null,
        forceDwarf: false,
        readToEnd: true,
        tempDir,
        jobs: 2,
        signal: new AbortController().signal,
        log: silentLog,
        ...options,
      },
    )
  } finally {
    const left = (await readdir(tempDir)).filter((name) => !before.includes(name))
    if (left.length > 0) throw new Error(`left behind in ${tempDir}: ${left.join(', ')}`)
  }
}
