import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A new empty folder that goes away with the running test. */
export async function scratch(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'btfhub-store-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** Flips every bit of one byte of a file. */
export async function flipByte(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset)
    await file.write(Buffer.of(buffer.readUInt8(0) ^ 0xff), 0, 1, offset)
  } finally {
    await file.close()
  }
}
