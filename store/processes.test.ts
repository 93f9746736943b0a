import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseSha256 } from '../core/digest.ts'
import { compileForChildren, type Child } from './child.fixture.ts'
import { audit, openStore, withLock } from './index.ts'
import { scratch } from './scratch.fixture.ts'

const WRITER = 'store/writer.child.fixture.ts'
const HOLDER = 'store/lock.child.fixture.ts'

let start: Awaited<ReturnType<typeof compileForChildren>>
let compiled: string
beforeAll(async () => {
  compiled = await mkdtemp(join(tmpdir(), 'btfhub-children-'))
  start = await compileForChildren(compiled)
})
afterAll(() => rm(compiled, { recursive: true, force: true }))

async function firstLine(child: Child): Promise<void> {
  for (let i = 0; child.lines.length === 0 && i < 2000; i++) await sleep(5)
  expect(child.lines.length, 'the child has begun').toBeGreaterThan(0)
}

async function kill(child: Child): Promise<void> {
  child.process.kill('SIGKILL')
  expect(await child.ended).toBe('SIGKILL')
}

describe('a store', () => {
  it('whose writer is killed, ten times at random moments, has all that was kept, and goes on', async () => {
    const dataDir = await scratch()
    const kept = new Map<string, string>()
    for (let round = 0; round < 10; round++) {
      const child = start(WRITER, dataDir, `round${round}`, '100000')
      await firstLine(child)
      await sleep(Math.random() * 300)
      await kill(child)
      for (const line of child.lines) {
        const [key = '', digest = ''] = line.split(' ')
        kept.set(key, digest)
      }

      const store = await openStore(dataDir)
      const report = await audit(store, undefined, { graceMs: 0 })
      expect(report.problems.filter((problem) => problem.level === 'error')).toEqual([])
      const builds = new Map((await store.catalog.builds()).map((build) => [build.key, build.btf.digest]))
      for (const [key, digest] of kept) {
        expect(builds.get(key)).toBe(digest)
        const parsed = parseSha256(digest)
        expect(parsed !== null && (await store.blobs.size(parsed))).toBeTruthy()
        expect(await store.catalog.failure(key)).toBeNull()
      }
      await store.close()
    }
    expect(kept.size).toBeGreaterThan(10)
    const last = start(WRITER, dataDir, 'last', '5')
    expect(await last.ended).toBe(0)
    expect(last.lines).toHaveLength(5)
  })

  it('takes the work of several processes at once', async () => {
    const dataDir = await scratch()
    const children = [
      start(WRITER, dataDir, 'same', '60'),
      start(WRITER, dataDir, 'same', '60'),
      start(WRITER, dataDir, 'a', '40'),
      start(WRITER, dataDir, 'b', '40'),
    ]
    expect(await Promise.all(children.map((child) => child.ended))).toEqual([0, 0, 0, 0])
    const store = await openStore(dataDir)
    const builds = await store.catalog.builds()
    expect(builds).toHaveLength(60 + 40 + 40)
    expect(new Set(builds.map((build) => build.id)).size).toBe(140)
    // Each build once, and the tool once.
    expect(await store.catalog.generation()).toBe(140 + 1)
    expect(await audit(store)).toMatchObject({ sound: true, problems: [] })
    await store.close()
  })
})

describe('a lock', () => {
  it('held by another process names it, and is free as soon as that is killed', async () => {
    const dataDir = await scratch()
    const child = start(HOLDER, dataDir)
    await firstLine(child)
    const refused = withLock(dataDir, 'crawl', async () => {})
    await expect(refused).rejects.toMatchObject({ code: 'BUSY' })
    await expect(refused).rejects.toThrow(`process ${child.process.pid} on `)
    await withLock(dataDir, 'gc', async () => {})
    await kill(child)
    expect(await withLock(dataDir, 'crawl', async () => 'done')).toBe('done')
  })
})
