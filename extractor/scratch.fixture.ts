import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, onTestFinished } from 'vitest'

/** A new empty folder that goes away with the running test. */
export async function scratch(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'btfhub-extract-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A new empty folder that goes away with the running file's tests. */
export async function fileScratch(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'btfhub-extract-'))
  afterAll(() => rm(dir, { recursive: true, force: true }))
  return dir
}
