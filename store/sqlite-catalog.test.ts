import Database from 'better-sqlite3'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { sha256Of } from '../core/digest.ts'
import { describeCatalog } from './catalog.case.ts'
import { canMount, mount } from './mount.fixture.ts'
import { sampleBuild } from './sample.fixture.ts'
import { flipByte, scratch } from './scratch.fixture.ts'
import { openCatalog } from './sqlite-catalog.ts'
import type { Catalog } from './types.ts'

const opened: Catalog[] = []
afterEach(async () => {
  for (const catalog of opened.splice(0)) await catalog.close()
})

/** A catalog that is closed with the test. */
async function open(path: string, options?: { readOnly: boolean }): Promise<Catalog> {
  const catalog = await openCatalog(path, options)
  opened.push(catalog)
  return catalog
}

/** The path of a catalog with some builds, which nobody has open. */
async function closedCatalog(builds = 50): Promise<string> {
  const path = join(await scratch(), 'catalog.sqlite')
  const catalog = await openCatalog(path)
  for (let i = 0; i < builds; i++) await catalog.addBuild(sampleBuild({ kernel: { release: `6.1.0-${i}` } }))
  await catalog.close()
  return path
}

/** Changes a closed catalog behind its back. */
function tamper(path: string, statement: string): void {
  const db = new Database(path)
  db.pragma('foreign_keys = OFF')
  db.exec(statement)
  db.close()
}

describeCatalog('SQLite', async () => open(join(await scratch(), 'catalog.sqlite')))

describe('a catalog file', () => {
  it('keeps everything over closing and opening', async () => {
    const path = await closedCatalog(3)
    const again = await open(path)
    expect(await again.builds()).toHaveLength(3)
    expect(await again.generation()).toBe(3)
    const id = (await again.builds()).at(-1)?.id ?? 0
    expect((await again.addBuild(sampleBuild())).id).toBeGreaterThan(id)
  })

  it('is made whole, folders too, also by several openers at once', async () => {
    const path = join(await scratch(), 'a', 'b', 'catalog.sqlite')
    const catalogs = await Promise.all(Array.from({ length: 8 }, () => open(path)))
    await Promise.all(
      catalogs.map((catalog, i) => catalog.addBuild(sampleBuild({ kernel: { release: `r${i}` } }))),
    )
    for (const catalog of catalogs) expect(await catalog.builds()).toHaveLength(8)
  })

  it.each([
    ['is empty', () => Buffer.alloc(0), /is empty \(0 bytes\)/],
    ['is text', () => Buffer.from('distro,version,arch\n'.repeat(50)), /is not a SQLite database/],
    ['is nothing but zeros', () => Buffer.alloc(8192), /is not a SQLite database/],
    ['ends within its header', (whole: Buffer) => whole.subarray(0, 50), /is cut off after 50 bytes/],
    [
      'ends within its pages',
      (whole: Buffer) => whole.subarray(0, 20_000),
      /is cut off: it has 20000 bytes of/,
    ],
  ])('that %s is refused and left as it is', async (_, make, message) => {
    const path = await closedCatalog()
    await writeFile(path, make(await readFile(path)))
    await expectRefused(path, 'CORRUPT', message)
  })

  it('of another program is refused and left as it is', async () => {
    const path = join(await scratch(), 'catalog.sqlite')
    tamper(path, 'create table contacts (name text)')
    await expectRefused(path, 'CORRUPT', /is a SQLite database of another program/)
  })

  it('of a newer hub is refused and left as it is', async () => {
    const path = await closedCatalog()
    tamper(path, "insert into schema_migrations values (9999, 'future', '2099-01-01T00:00:00Z')")
    await expectRefused(path, 'SCHEMA', /schema 9999, this hub knows up to \d+: a newer btfhub made it/)
  })

  it('that is not there is not made by who only reads', async () => {
    const path = join(await scratch(), 'catalog.sqlite')
    await expect(openCatalog(path, { readOnly: true })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('with a damaged page says so, when it is read and when it is checked', async () => {
    const path = await closedCatalog(200)
    const rowAt = (await readFile(path)).indexOf('Linux version 6.1.0-150')
    await flipByte(path, Math.floor(rowAt / 4096) * 4096)
    const catalog = await open(path, { readOnly: true })
    await expect(catalog.builds()).rejects.toMatchObject({ code: 'CORRUPT' })
    expect((await catalog.check()).wrong).not.toEqual([])
  })

  it('says that it is read only to who opened it so, and is not changed', async () => {
    const path = await closedCatalog(1)
    const before = await readFile(path)
    const reader = await open(path, { readOnly: true })
    const refused = [
      reader.addBuild(sampleBuild()),
      reader.addTool({ name: 'a', version: '1', objects: [] }),
      reader.putMinBtf(1, sha256Of(''), { digest: sha256Of(''), sizeBytes: 0 }),
      reader.prune(),
    ]
    for (const change of refused) await expect(change).rejects.toMatchObject({ code: 'READ_ONLY' })
    expect(await reader.builds()).toHaveLength(1)
    await reader.close()
    expect(await readFile(path)).toEqual(before)
  })

  it('is read while another opener writes: each change is seen at once and whole', async () => {
    const path = join(await scratch(), 'catalog.sqlite')
    const writer = await open(path)
    const reader = await open(path, { readOnly: true })
    for (let i = 1; i <= 20; i++) {
      await writer.addBuild(sampleBuild({ kernel: { release: `r${i}` } }))
      expect(await reader.generation()).toBe(i)
      expect(await reader.builds()).toHaveLength(i)
    }
  })

  it('is read while another opener is in the middle of a transaction', async () => {
    const path = await closedCatalog(2)
    const other = new Database(path)
    onTestFinished(() => void other.close())
    other.exec('begin immediate; delete from builds')
    const reader = await open(path, { readOnly: true })
    expect(await reader.builds()).toHaveLength(2)
    other.exec('rollback')
  })

  it('waits for another writer instead of failing, and other work goes on meanwhile', async () => {
    const path = await closedCatalog(0)
    const catalog = await open(path)
    const other = new Database(path)
    onTestFinished(() => void other.close())
    other.exec('begin immediate')
    let ticks = 0
    const clock = setInterval(() => ticks++, 10)
    setTimeout(() => other.exec('commit'), 400)
    await catalog.addBuild(sampleBuild())
    clearInterval(clock)
    expect(ticks).toBeGreaterThan(3)
    expect(await catalog.builds()).toHaveLength(1)
  })
})

describe('a row that is none of ours', () => {
  it.each([
    ['builds', "update builds set provenance = '{' where id = 2", /builds row 2: provenance: not JSON/],
    ['builds', "update builds set provenance = '{}' where id = 2", /builds row 2: provenance\.source/],
    ['builds', "update builds set arch = 'vax' where id = 2", /builds row 2: arch/],
    [
      'builds',
      "update builds set origin = 'dwarf' where id = 2",
      /builds row 2: origin: dwarf, but embedded/,
    ],
    ['builds', "update builds set layout_digest = 'x' where id = 2", /builds row 2: layout_digest/],
    ['builds', "update digests set digest = 'x' where id = 2", /builds row 2: digest/],
    ['builds', 'update digests set size_bytes = -1 where id = 2', /builds row 2: size_bytes/],
    ['builds', "update digests set size_bytes = 'x' where id = 2", /builds row 2: size_bytes/],
    ['failures', 'update failures set tries = 0', /failures row 1: tries/],
    ['failures', "update failures set next_try_at = 'soon'", /failures row 1: next_try_at/],
    ['tools', "update tools set created_at = ''", /tools row 1: created_at/],
  ] as const)('in %s is an error that names it: %s', async (table, statement, message) => {
    const path = await closedCatalog(3)
    const whole = await openCatalog(path)
    const { kernel } = sampleBuild()
    const lastTryAt = '2026-01-01T00:00:00.000Z'
    await whole.addFailure({ key: 'a', kernel, code: 'ILL', message: '', lastTryAt })
    await whole.addTool({ name: 'a', version: '1', objects: [] })
    await whole.close()
    tamper(path, statement)
    const catalog = await open(path)
    await expect(catalog[table]()).rejects.toMatchObject({ code: 'CORRUPT' })
    await expect(catalog[table]()).rejects.toThrow(message)
    expect((await catalog.check()).wrong.join('\n')).toMatch(message)
  })

  it('is found by the check where it points at nothing', async () => {
    const path = await closedCatalog(3)
    tamper(path, 'update builds set btf_id = 77 where id = 2')
    const catalog = await open(path)
    expect((await catalog.check()).wrong).toEqual(['catalog: builds row 2: points at no row of digests'])
  })
})

describe.skipIf(!canMount)(
  'a catalog on a file system of its own (skipped where nothing can be mounted)',
  () => {
    it('refuses what does not fit on the disk, and keeps what it has', async () => {
      const dir = await scratch()
      onTestFinished(await mount(['-t', 'tmpfs', '-o', 'size=1m', 'btfhub-test', dir], dir))
      const catalog = await openCatalog(join(dir, 'catalog.sqlite'))
      const memo = { etag: null, lastModified: null, sha256: sha256Of(''), value: 'x'.repeat(100_000) }
      await catalog.addBuild(sampleBuild())
      const fill = async (): Promise<void> => {
        for (let i = 0; i < 100; i++) await catalog.putIndexMemo(`memo ${i}`, memo)
      }
      await expect(fill()).rejects.toMatchObject({ code: 'IO' })
      expect(await catalog.builds()).toHaveLength(1)
      expect((await catalog.check()).wrong).toEqual([])
      await catalog.close()
      const again = await openCatalog(join(dir, 'catalog.sqlite'), { readOnly: true })
      expect(await again.builds()).toHaveLength(1)
      await again.close()
    })

    it('is read where nothing can be written, with a writer elsewhere or without, and seen anew after changes', async () => {
      const path = await closedCatalog(3)
      const view = await scratch()
      onTestFinished(await mount(['--bind', join(path, '..'), view], view))
      await mount(['-o', 'remount,bind,ro', view], null)
      const seen = join(view, 'catalog.sqlite')
      await expect(openCatalog(seen)).rejects.toMatchObject({ code: 'READ_ONLY' })

      const reader = await openCatalog(seen, { readOnly: true })
      expect(await reader.builds()).toHaveLength(3)
      const writer = await openCatalog(path)
      await writer.addBuild(sampleBuild({ kernel: { release: 'new' } }))
      expect(await reader.builds()).toHaveLength(4)
      const second = await openCatalog(seen, { readOnly: true })
      await writer.addBuild(sampleBuild({ kernel: { release: 'newer' } }))
      expect(await second.builds()).toHaveLength(5)
      await second.close()
      await writer.close()
      expect(await Promise.all([reader.builds(), reader.builds(), reader.generation()])).toMatchObject([
        { length: 5 },
        { length: 5 },
        5,
      ])
      await reader.close()
    })

    it('is refused there where its last writer was killed', async () => {
      const path = await closedCatalog(1)
      const dir = await scratch()
      const writer = await open(path)
      await writer.addBuild(sampleBuild())
      await mkdir(join(dir, 'killed'))
      for (const end of ['', '-wal']) {
        await copyFile(`${path}${end}`, join(dir, 'killed', `catalog.sqlite${end}`))
      }
      const view = await scratch()
      onTestFinished(await mount(['--bind', join(dir, 'killed'), view], view))
      await mount(['-o', 'remount,bind,ro', view], null)
      await expect(openCatalog(join(view, 'catalog.sqlite'), { readOnly: true })).rejects.toMatchObject({
        code: 'READ_ONLY',
        message: expect.stringContaining('was not closed cleanly'),
      })
      const recovered = await open(join(dir, 'killed', 'catalog.sqlite'))
      expect(await recovered.builds()).toHaveLength(2)
    })
  },
)

/** Both ways to open it fail alike, and its bytes stay. */
async function expectRefused(path: string, code: string, message: RegExp): Promise<void> {
  const before = await readFile(path)
  for (const readOnly of [false, true]) {
    const refused = openCatalog(path, { readOnly })
    await expect(refused).rejects.toMatchObject({ name: 'StoreError', code })
    await expect(refused).rejects.toThrow(message)
    expect(await readFile(path)).toEqual(before)
  }
}
