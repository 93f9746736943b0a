import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { withTestStore } from '../test/helpers/store.ts'
import { openStore } from './open.ts'
import { sampleBuild } from './sample.fixture.ts'
import { scratch } from './scratch.fixture.ts'

it('makes a data folder, and finds in it what was kept', async () => {
  const dataDir = join(await scratch(), 'new', 'data')
  const first = await openStore(dataDir)
  const bytes = new TextEncoder().encode('BTF')
  await first.blobs.put(bytes)
  const build = await first.catalog.addBuild(sampleBuild({ btf: bytes }))
  await first.close()
  expect((await readdir(dataDir)).sort()).toEqual(['blobs-v1', 'catalog.sqlite', 'tmp'])
  for (const readOnly of [false, true]) {
    const again = await openStore(dataDir, { readOnly })
    expect(await again.catalog.builds()).toEqual([build])
    expect(Buffer.from(await again.blobs.read(build.btf.digest))).toEqual(Buffer.from(bytes))
    await again.close()
  }
})

it('clears away what killed processes left, unless it only reads', async () => {
  await withTestStore(async ({ dataDir, tempDirs }) => {
    const longAgo = new Date(Date.now() - 7200_000)
    for (const dir of tempDirs) {
      await mkdir(dir, { recursive: true })
      await writeFile(join(dir, '4194304-abc.tmp'), 'half')
      await utimes(join(dir, '4194304-abc.tmp'), longAgo, longAgo)
    }
    const left = async (): Promise<readonly string[]> =>
      (await Promise.all(tempDirs.map((dir) => readdir(dir))))
        .flat()
        .filter((name) => /-abc\.tmp$/.test(name))
    await (await openStore(dataDir, { readOnly: true })).close()
    expect(await left()).toHaveLength(tempDirs.length)
    await (await openStore(dataDir)).close()
    expect(await left()).toEqual([])
  })
})

it('has nothing to read where no store was made', async () => {
  const dataDir = join(await scratch(), 'absent')
  await expect(openStore(dataDir, { readOnly: true })).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining('crawl or import something first'),
  })
})

it('finishes what is being made before it closes', async () => {
  await withTestStore(async ({ dataDir }) => {
    const store = await openStore(dataDir)
    const { digest } = await store.blobs.put(new Uint8Array(200_000))
    const making = store.derived.get(digest, 'xz')
    await store.close()
    expect((await making).sizeBytes).toBeGreaterThan(0)
    const again = await openStore(dataDir)
    expect(await again.catalog.derived(digest, 'xz')).not.toBeNull()
    await again.close()
  })
})

it('says so where the data folder cannot be made', async () => {
  const file = join(await scratch(), 'file')
  await writeFile(file, '')
  await expect(openStore(file)).rejects.toMatchObject({ name: 'StoreError' })
})
