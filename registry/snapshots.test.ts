import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { openStore } from '../store/index.ts'
import { sampleBuild, withTestStore } from '../test/helpers/store.ts'
import { Snapshots } from './snapshots.ts'

const release = (n: number): string => `6.1.0-${n}-amd64`

it('knows at once what was added before it was asked, also by others, and reads only that', async () => {
  await withTestStore(async (store) => {
    const other = await openStore(store.dataDir)
    const snapshots = new Snapshots(store.catalog, silentLog)
    const first = await snapshots.get()
    expect(first.kernels.entries).toEqual([])
    for (let n = 0; n < 20; n++) {
      await other.catalog.addBuild(sampleBuild({ kernel: { release: release(n) } }))
      const { kernels } = await snapshots.refresh()
      expect(kernels.withRelease(release(n))).toHaveLength(1)
      expect(kernels.entries).toHaveLength(n + 1)
    }
    await other.close()
  })
})

it('is the same snapshot as long as nothing changes, and another one when a tool does', async () => {
  await withTestStore(async ({ catalog, blobs }) => {
    const snapshots = new Snapshots(catalog, silentLog)
    const first = await snapshots.get()
    expect(await snapshots.refresh()).toBe(first)
    await catalog.addTool({
      name: 'a',
      version: '1',
      objects: [{ name: 'a.o', ...(await blobs.put(Buffer.from('a'))) }],
    })
    const second = await snapshots.refresh()
    expect(second.id).toBeGreaterThan(first.id)
    expect(second.tools.find('a@1')?.name).toBe('a')
    await catalog.removeTool('a')
    expect((await snapshots.refresh()).tools.find('a')).toBeNull()
  })
})

it('a caller during a look is told of what the look may have missed', async () => {
  await withTestStore(async ({ catalog }) => {
    const snapshots = new Snapshots(catalog, silentLog)
    await snapshots.get()
    const under = snapshots.refresh()
    await catalog.addBuild(sampleBuild())
    const all = await Promise.all([snapshots.refresh(), snapshots.refresh(), under])
    expect(all[0].kernels.entries).toHaveLength(1)
    expect(all[1]).toBe(all[0])
  })
})

it('reads a catalog of several pages whole', async () => {
  await withTestStore(async ({ catalog }) => {
    for (let n = 0; n < 2100; n++) await catalog.addBuild(sampleBuild({ kernel: { release: release(n) } }))
    const { kernels } = await new Snapshots(catalog, silentLog).get()
    expect(kernels.entries).toHaveLength(2100)
  })
})

it('looks by itself, until it is stopped', async () => {
  await withTestStore(async ({ catalog }) => {
    const snapshots = new Snapshots(catalog, silentLog)
    const first = await snapshots.get()
    snapshots.start(5)
    await catalog.addBuild(sampleBuild())
    const start = Date.now()
    while (snapshots.current === first && Date.now() - start < 5000) await sleep(5)
    expect(snapshots.current?.kernels.entries).toHaveLength(1)
    snapshots.stop()
    await sleep(30)
    await catalog.addBuild(sampleBuild({ kernel: { release: release(1) } }))
    await sleep(50)
    expect(snapshots.current?.kernels.entries).toHaveLength(1)
  })
})

it('a catalog that cannot be read is an error at first, and afterwards leaves what is known', async () => {
  await withTestStore(async (store) => {
    const other = await openStore(store.dataDir)
    const snapshots = new Snapshots(other.catalog, silentLog)
    const known = await snapshots.get()
    await other.close()
    await expect(snapshots.refresh()).rejects.toThrow()
    expect(await snapshots.get()).toBe(known)
    await expect(new Snapshots(other.catalog, silentLog).get()).rejects.toThrow()
  })
})
