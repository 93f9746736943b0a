import Database from 'better-sqlite3'
import { truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Sha256 } from '../core/digest.ts'
import { audit, type AuditReport } from './audit.ts'
import { sample } from './blobs.case.ts'
import { collectGarbage } from './garbage.ts'
import { openStore, type Store } from './open.ts'
import { sampleBuild } from './sample.fixture.ts'
import { flipByte, scratch } from './scratch.fixture.ts'
import type { Build, Tool } from './types.ts'

const pathOf = (dir: string, digest: Sha256): string =>
  join(dir, 'blobs-v1', 'sha256', digest.slice(0, 2), digest.slice(2, 4), digest)

interface Filled {
  readonly dir: string
  readonly store: Store
  readonly build: Build
  readonly tool: Tool
  readonly min: Sha256
  readonly packed: Sha256
}

/** A store with a build, a tool, its min BTF and a derived form. */
async function filled(): Promise<Filled> {
  const dir = await scratch()
  const store = await openStore(dir)
  onTestFinished(() => store.close())
  const btf = sample(50_000)
  await store.blobs.put(btf)
  const build = await store.catalog.addBuild(sampleBuild({ btf }))
  const object = { name: 'a.bpf.o', ...(await store.blobs.put(sample(3000))) }
  const tool = await store.catalog.addTool({ name: 'snoop', version: '1', objects: [object] })
  const min = await store.blobs.put(sample(700))
  await store.catalog.putMinBtf(tool.id, build.btf.digest, min)
  const { digest: packed } = await store.derived.get(min.digest, 'gz')
  return { dir, store, build, tool, min: min.digest, packed }
}

const lines = ({ problems }: AuditReport): readonly string[] =>
  problems.map(({ step, level, message }) => `${step} ${level}: ${message}`)

describe('an audit', () => {
  it('finds nothing wrong with a good store, and says what it looked at', async () => {
    const { store } = await filled()
    const told: string[] = []
    const report = await audit(store, (step, done, total) => told.push(`${step} ${done}/${total}`))
    expect(report).toEqual({
      sound: true,
      problems: [],
      steps: [
        { name: 'blobs', checked: 4 },
        { name: 'rows', checked: 6 },
        { name: 'references', checked: 3 },
        { name: 'derived', checked: 1 },
        { name: 'orphans', checked: 4 },
        { name: 'temp', checked: 0 },
      ],
    })
    expect(told).toContain('blobs 0/null')
    expect(told).toContain('blobs 4/4')
    expect(told.at(-1)).toBe('temp 0/0')
  })

  it.each([
    ['flipped byte', (path: string) => flipByte(path, 25_000)],
    ['cut-off end', (path: string) => truncate(path, 49_999)],
  ])('finds a %s, and who needs the blob', async (_, damage) => {
    const { dir, store, build } = await filled()
    await damage(pathOf(dir, build.btf.digest))
    const report = await audit(store)
    expect(report.sound).toBe(false)
    expect(report.problems).toMatchObject([
      { step: 'blobs', level: 'error', digest: build.btf.digest },
      {
        step: 'references',
        level: 'error',
        digest: build.btf.digest,
        message: `build ${build.key}: its blob ${build.btf.digest} is damaged`,
      },
    ])
  })

  it('finds blobs that are gone: an error for what was kept, a note for what can be made again', async () => {
    const { store, build, tool, min, packed } = await filled()
    const object = tool.objects[0]?.digest ?? build.btf.digest
    for (const digest of [build.btf.digest, object, min, packed]) await store.blobs.remove(digest)
    const report = await audit(store)
    expect(lines(report)).toEqual([
      `references error: build ${build.key}: its blob ${build.btf.digest} is missing`,
      `references error: object a.bpf.o of tool snoop@1: its blob ${object} is missing`,
      `references error: min BTF of tool snoop@1: its blob ${min} is missing`,
      `derived note: gz of ${min}: its blob ${packed} is missing and will be made again`,
    ])
    expect(report.sound).toBe(false)
  })

  it('finds a size that is not the blob’s', async () => {
    const { dir, store, build } = await filled()
    const db = new Database(join(dir, 'catalog.sqlite'))
    db.prepare('update digests set size_bytes = 1 where digest = ?').run(build.btf.digest)
    db.close()
    expect(lines(await audit(store))).toEqual([
      `references error: build ${build.key}: its blob ${build.btf.digest} has 50000 bytes, the catalog says 1`,
    ])
  })

  it('finds rows that are none of ours, and goes on as far as it can', async () => {
    const { dir, store, min } = await filled()
    const db = new Database(join(dir, 'catalog.sqlite'))
    db.prepare("update digests set digest = 'x' where digest = ?").run(min)
    db.prepare("update builds set provenance = '['").run()
    db.close()
    const found = lines(await audit(store))
    expect(found).toContain('rows error: catalog: builds row 1: provenance: not JSON')
    expect(found.filter((line) => line.startsWith('rows error: catalog: digests row '))).toHaveLength(1)
    expect(found.filter((line) => line.startsWith('references error: '))).toHaveLength(1)
  })

  it('notes orphans once they are old enough, and what dead processes left', async () => {
    const { dir, store } = await filled()
    const { digest } = await store.blobs.put(sample(10))
    const left = join(store.tempDir, '4194304-abc.tmp')
    await writeFile(left, 'half')
    expect(lines(await audit(store))).toEqual([])
    const longAgo = new Date(Date.now() - 7200_000)
    await utimes(pathOf(dir, digest), longAgo, longAgo)
    await utimes(left, longAgo, longAgo)
    const report = await audit(store)
    expect(report.sound).toBe(true)
    expect(lines(report)).toEqual([
      `orphans note: blob ${digest}, 10 bytes: nothing points at it`,
      `temp note: ${left}, 4 bytes: left by a process that is gone`,
    ])
  })

  it('ends when it is told to', async () => {
    const { store } = await filled()
    const ended = audit(store, undefined, { signal: AbortSignal.abort() })
    await expect(ended).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('collecting garbage', () => {
  it('removes what nothing points at, and only that', async () => {
    const { store, build } = await filled()
    const { digest } = await store.blobs.put(sample(10))
    expect(await collectGarbage(store, { graceMs: 0 })).toEqual({
      removed: 1,
      removedBytes: 10,
      kept: 4,
      forgotten: 0,
    })
    expect(await store.blobs.size(digest)).toBeNull()
    expect(await store.blobs.size(build.btf.digest)).toBe(50_000)
    expect(await audit(store, undefined, { graceMs: 0 })).toMatchObject({ problems: [] })
  })

  it('leaves what is younger than an hour', async () => {
    const { store } = await filled()
    const { digest } = await store.blobs.put(sample(10))
    expect(await collectGarbage(store)).toMatchObject({ removed: 0, kept: 5 })
    expect(await store.blobs.size(digest)).toBe(10)
  })

  it('removes a removed tool’s objects, min BTFs and their derived forms', async () => {
    const { store, build } = await filled()
    await store.catalog.removeTool('snoop')
    expect(await collectGarbage(store, { graceMs: 0 })).toMatchObject({ removed: 3, kept: 1, forgotten: 1 })
    const kept: Sha256[] = []
    for await (const blob of store.blobs.list()) kept.push(blob.digest)
    expect(kept).toEqual([build.btf.digest])
  })

  it('leaves what is put again between the listing and the removal', async () => {
    const { dir, store } = await filled()
    const { digest } = await store.blobs.put(sample(10))
    const longAgo = new Date(Date.now() - 7200_000)
    await utimes(pathOf(dir, digest), longAgo, longAgo)
    const catalog = {
      ...store.catalog,
      async prune() {
        await store.blobs.put(sample(10))
        return store.catalog.prune()
      },
    }
    expect(await collectGarbage({ catalog, blobs: store.blobs })).toMatchObject({ removed: 0, kept: 5 })
    expect(await store.blobs.size(digest)).toBe(10)
  })

  it('never takes a blob that a build arrives for meanwhile', async () => {
    const { dir, store } = await filled()
    const longAgo = new Date(Date.now() - 7200_000)
    for (let round = 0; round < 20; round++) {
      const btf = sample(2000 + round)
      const { digest } = await store.blobs.put(btf)
      await utimes(pathOf(dir, digest), longAgo, longAgo)
      const arrive = async (): Promise<void> => {
        await store.blobs.put(btf)
        await store.catalog.addBuild(sampleBuild({ btf, kernel: { release: `r${round}` } }))
      }
      await Promise.all([collectGarbage(store), arrive()])
      expect(await store.blobs.size(digest)).toBe(2000 + round)
    }
    expect(await audit(store)).toMatchObject({ sound: true })
  })
})
