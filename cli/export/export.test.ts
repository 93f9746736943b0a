import { lstat, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256Of } from '../../core/digest.ts'
import { withTestStore, type TestStore, openTestStore } from '../../test/helpers/store.ts'
import { exportTo, testKey, withScratch } from '../../test/helpers/export.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../../test/helpers/registry.ts'
import { MinBtfs } from '../../registry/index.ts'
import { silentLog } from '../../core/log.ts'

const key = testKey()
const now = new Date('2026-11-21T12:00:00Z')
const tool = compileTool(['pid', 'tgid'])

/** Everything below a folder but what only exports look at: each file's bytes, each link's target. */
async function contentsOf(dir: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(dir.length + 1)
    if (name.startsWith('.btfhub')) continue
    if (entry.isSymbolicLink()) found.set(name, `-> ${await readlink(path)}`)
    else if (entry.isFile()) found.set(name, sha256Of(await readFile(path)))
  }
  return found
}

async function fill(store: TestStore): Promise<void> {
  await addKernel(store, {
    kernel: { release: '6.1.0-1-amd64' },
    btf: tinyKernel(8),
    provenance: { buildId: 'aa'.repeat(20) },
  })
  await addKernel(store, { kernel: { release: '6.1.0-1-arm64', arch: 'aarch64' }, btf: tinyKernel(12) })
  for (const version of ['18.04', '20.04']) {
    const kernel = { distro: 'ubuntu', version, release: '5.4.0-80-generic' }
    await addKernel(store, { kernel, btf: tinyKernel(version === '18.04' ? 16 : 20) })
  }
  const added = await addTool(store, 'pids', '1', tool)
  const minBtfs = new MinBtfs({ ...store, log: silentLog })
  for (const { btf } of await store.catalog.builds()) await minBtfs.get(added, btf.digest)
}

describe('an export', () => {
  let store: TestStore
  beforeAll(async () => {
    store = await openTestStore()
    await fill(store)
  })
  afterAll(() => store.cleanUp())

  it('has each path that a hub answers, and none where it says "ambiguous"', () =>
    withScratch(async (dir) => {
      await exportTo(dir, store, key, { now })
      const paths = [...(await contentsOf(dir)).keys()].filter((path) => !path.startsWith('v1/blobs/')).sort()
      expect(paths).toMatchSnapshot()
    }))

  it('is the same bytes wherever and whenever it is made, but for the index', () =>
    withScratch(async (dir) => {
      const later = new Date('2027-01-01T00:00:00Z')
      await exportTo(join(dir, 'a'), store, key, { now })
      await exportTo(join(dir, 'b'), store, key, { now })
      await exportTo(join(dir, 'c'), store, key, { now: later, copies: true })
      const [a, b, c] = [
        await contentsOf(join(dir, 'a')),
        await contentsOf(join(dir, 'b')),
        await contentsOf(join(dir, 'c')),
      ]
      expect(b).toEqual(a)
      for (const each of [a, c]) each.delete('v1/index.json')
      expect(c).toEqual(a)
    }))

  it('shares its bytes with the store, or not where that is not wanted', () =>
    withScratch(async (dir) => {
      await exportTo(join(dir, 'linked'), store, key)
      await exportTo(join(dir, 'copied'), store, key, { copies: true })
      const btf = 'debian/12/x86_64/6.1.0-1-amd64.btf'
      expect((await stat(join(dir, 'linked', btf))).nlink).toBeGreaterThan(2)
      expect((await stat(join(dir, 'copied', btf))).nlink).toBe(1)
    }))

  it.each([0o077, 0o000])('can be read by everybody, and written by its owner, with umask %o', (umask) =>
    withScratch(async (dir) => {
      const before = process.umask(umask)
      const tree = join(dir, 'tree')
      try {
        await withTestStore(async (own) => {
          await fill(own)
          await exportTo(join(tree, 'below'), own, key)
        })
      } finally {
        process.umask(before)
      }
      const root = join(tree, 'below')
      const modes = new Set<string>([`folder ${((await stat(root)).mode & 0o777).toString(8)}`])
      for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name)
        if (path.startsWith(join(root, '.btfhub')) || entry.isSymbolicLink()) continue
        const mode = ((await stat(path)).mode & 0o777).toString(8)
        modes.add(`${entry.isDirectory() ? 'folder' : 'file'} ${mode}`)
      }
      expect([...modes].sort()).toEqual(['file 644', 'folder 755'])
    }),
  )

  it('again writes nothing, and renews the index in the second half of its life', () =>
    withScratch(async (dir) => {
      const hour = 3600_000
      const first = await exportTo(dir, store, key, { now })
      const before = await stat(join(dir, 'v1/index.json'))
      const again = await exportTo(dir, store, key, { now: new Date(now.getTime() + hour) })
      expect(again).toEqual({ ...first, written: 0, removed: 0, changed: false })
      expect((await stat(join(dir, 'v1/index.json'))).ino).toBe(before.ino)
      const renewed = await exportTo(dir, store, key, { now: new Date(now.getTime() + 13 * hour) })
      expect(renewed.version).toBeGreaterThan(first.version)
      expect(renewed).toMatchObject({ written: 0, removed: 0 })
    }))

  it('refuses a folder with something else in it, and one that another hub exported into', () =>
    withScratch(async (dir) => {
      await writeFile(join(dir, 'precious'), '')
      await expect(exportTo(dir, store, key)).rejects.toMatchObject({ code: 'NOT_EMPTY' })
      await rm(join(dir, 'precious'))
      await exportTo(dir, store, key)
      await expect(exportTo(dir, store, testKey())).rejects.toMatchObject({ code: 'FOREIGN' })
    }))

  it('never writes through a symbolic link that somebody put there', () =>
    withScratch(async (dir) => {
      const tree = join(dir, 'tree')
      await mkdir(join(dir, 'elsewhere'))
      await exportTo(tree, store, key)
      await rm(join(tree, 'debian'), { recursive: true })
      await symlink(join(dir, 'elsewhere'), join(tree, 'debian'))
      await expect(
        exportTo(tree, store, key, { now: new Date(Date.now() + 20 * 3600_000) }),
      ).rejects.toMatchObject({
        code: 'DAMAGED',
      })
      expect(await readdir(join(dir, 'elsewhere'))).toEqual([])
    }))

  it('mends a file that is gone with the next change', () =>
    withScratch(async (dir) => {
      await exportTo(dir, store, key, { now })
      const path = join(dir, 'debian/12/x86_64/6.1.0-1-amd64.btf')
      await rm(path)
      await exportTo(dir, store, key, { now: new Date(now.getTime() + 20 * 3600_000) })
      expect((await lstat(path)).isFile()).toBe(true)
    }))
})

it('takes what is new, changes what changed and removes what is gone, and nothing else', () =>
  withTestStore((store) =>
    withScratch(async (dir) => {
      await fill(store)
      await exportTo(dir, store, key, { now })
      const before = await contentsOf(dir)
      await writeFile(join(dir, 'debian/mine.txt'), 'not of the export')
      // A rebuild of the same layout, and a tool that goes.
      await addKernel(store, {
        kernel: { release: '6.1.0-1-amd64' },
        key: 'rebuild',
        btf: tinyKernel(8, 3),
        layout: 'debian/12/x86_64/6.1.0-1-amd64',
        provenance: { buildId: 'bb'.repeat(20) },
      })
      await store.catalog.removeTool('pids')
      const { written, removed } = await exportTo(dir, store, key, { now: new Date(now.getTime() + 60_000) })
      const after = await contentsOf(dir)
      const isNew = [...after].filter(([path, digest]) => before.get(path) !== digest).map(([path]) => path)
      const isGone = [...before.keys()].filter((path) => !after.has(path))
      expect(isNew).toContain('debian/12/x86_64/6.1.0-1-amd64.btf.tar.xz.sha256')
      expect(isNew).not.toContain('debian/12/arm64/6.1.0-1-arm64.btf.tar.xz')
      expect(isGone).toContain('v1/min/pids')
      expect(isGone).toContain('v1/min/pids@1/6.1.0-1-amd64')
      // Not counted: the index, its manifest and the stranger.
      expect(isNew.length - 3).toBe(written)
      expect(isGone.length).toBe(removed)
      expect(after.has('debian/mine.txt')).toBe(true)
    }),
  ))
