import { readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseSha256, sha256Of, type Sha256 } from '../../core/digest.ts'
import { silentLog } from '../../core/log.ts'
import { open, type SigningKey } from '../../core/signed-index/index.ts'
import { SignedIndex } from '../../registry/api.ts'
import { testKey } from '../../test/helpers/export.ts'
import { addKernel, addTool, tinyKernel } from '../../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../../test/helpers/store.ts'
import { IndexFolder } from './index-folder.ts'
import { LiveIndex } from './live-index.ts'
import { publishIndex } from './publish.ts'

const key = testKey()
const DAY_MS = 24 * 3600_000

let store: TestStore
let folder: IndexFolder
const running: LiveIndex[] = []

beforeEach(async () => {
  store = await openTestStore()
  folder = new IndexFolder(join(store.dataDir, 'index-v1'))
  await addKernel(store, { kernel: { release: 'a' }, btf: tinyKernel(4) })
})
afterEach(async () => {
  for (const index of running.splice(0)) await index.close()
  await store.cleanUp()
})

const publish = (now = new Date(), keys: readonly SigningKey[] = [key]) =>
  publishIndex(store.catalog, folder, { keys, lifetimeMs: DAY_MS, now })

async function signed(): Promise<SignedIndex> {
  const { text } = (await folder.signed()) ?? { text: '' }
  return SignedIndex.parse(JSON.parse(open(text).payload))
}

const documents = (): Promise<string[]> => readdir(join(folder.path, 'documents'))

describe('an index that is made', () => {
  it('again is the same one, is another after each change, and is renewed in the second half of its life', async () => {
    const now = new Date('2026-11-21T12:00:00Z')
    const at = (ms: number): Date => new Date(now.getTime() + ms)
    const first = await publish(now)
    expect(await publish(at(1000))).toEqual(first)
    const tool = await addTool(store, 'pids', '1', Buffer.from('an object'))
    const second = await publish(at(2000))
    await store.catalog.putMinBtf(tool.id, sha256Of(tinyKernel(4)), await store.blobs.put(Buffer.from('min')))
    const third = await publish(at(2000))
    const renewed = await publish(at(DAY_MS * 0.6))
    const versions = [first, second, third, renewed].map(({ version }) => version)
    expect(new Set(versions).size).toBe(4)
    expect(versions.toSorted((a, b) => a - b)).toEqual(versions)
    expect((await publish(at(DAY_MS * 0.6), [key, testKey()])).version).toBeGreaterThan(renewed.version)
    // A clock that was set back makes no older version.
    await addKernel(store, { kernel: { release: 'b' }, btf: tinyKernel(8) })
    expect((await publish(at(-DAY_MS))).version).toBeGreaterThan(renewed.version)
  })

  it('of nothing is an index too', async () => {
    const empty = await openTestStore()
    const there = new IndexFolder(join(empty.dataDir, 'index-v1'))
    await publishIndex(empty.catalog, there, { keys: [key], lifetimeMs: DAY_MS, now: new Date() })
    expect((await there.signed())?.text).toContain('builds\\":0')
    await empty.cleanUp()
  })

  it('leaves documents of the one before for ten minutes', async () => {
    const now = new Date()
    await publish(now)
    const before = await documents()
    await addKernel(store, { kernel: { release: 'b' }, btf: tinyKernel(8) })
    await publish(now)
    expect(await documents()).toEqual(expect.arrayContaining(before))
    await publish(new Date(now.getTime() + 11 * 60_000))
    const { tool_list, release_shards, build_id_shards } = await signed()
    const named = [...new Set([tool_list, ...release_shards, ...build_id_shards])]
    expect((await documents()).sort()).toEqual(named.flatMap((digest) => [digest, `${digest}.gz`]).sort())
  })

  it('removes what a killed process left of documents', async () => {
    await publish()
    const left = join(folder.path, 'tmp', `999999999-${'ab'.repeat(9)}.tmp`)
    await writeFile(left, 'half a document')
    const longAgo = new Date(Date.now() - 2 * DAY_MS)
    await utimes(left, longAgo, longAgo)
    await publish()
    expect(await readdir(join(folder.path, 'tmp'))).toEqual([])
  })

  it('is one of ten that are made at once, the others being busy or the same', async () => {
    const all = await Promise.allSettled(Array.from({ length: 10 }, () => publish()))
    const versions = all.flatMap((each) => (each.status === 'fulfilled' ? [each.value.version] : []))
    expect(new Set(versions).size).toBe(1)
    for (const each of all)
      if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'BUSY' })
    expect((await signed()).version).toBe(versions[0])
  })
})

describe('a hub that runs', () => {
  async function start(keys: () => Promise<readonly SigningKey[]> = async () => [key]): Promise<LiveIndex> {
    const index = new LiveIndex({
      catalog: store.catalog,
      folder,
      keys,
      publish: () =>
        publish().catch((err: { code?: string }) =>
          err.code === 'BUSY' ? null : Promise.reject(err as Error),
        ),
      lifetimeMs: DAY_MS,
      now: () => new Date(),
      log: silentLog,
    })
    running.push(index)
    await index.start()
    return index
  }

  async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await isSo())) await sleep(20)
  }

  const textOf = (index: LiveIndex): string => {
    const current = index.current()
    return typeof current === 'string' ? current : Buffer.from(current.text).toString()
  }

  it('has two processes on one folder say the same, also after a change', async () => {
    const [a, b] = [await start(), await start()]
    await until(() => textOf(a).startsWith('{') && textOf(a) === textOf(b))
    const before = textOf(a)
    await addKernel(store, { kernel: { release: 'b' }, btf: tinyKernel(8) })
    await until(() => textOf(a) !== before && textOf(a) === textOf(b))
  })

  it.each([
    ['empty', (path: string) => writeFile(path, '')],
    ['cut off', (path: string) => truncate(path, 100)],
    ['something else', (path: string) => writeFile(path, '{"payload":"{}","signatures":[]}\n')],
    ['gone', (path: string) => rm(path)],
  ])('makes an index anew that is %s on disk', async (_, damage) => {
    const index = await start()
    await until(() => textOf(index).startsWith('{'))
    const { version } = await signed()
    await sleep(1000)
    await damage(join(folder.path, 'signed.json'))
    await until(async () => textOf(index).startsWith('{') && (await signed().catch(() => null)) !== null)
    expect((await signed()).version).toBeGreaterThanOrEqual(version)
  })

  it('never sends a damaged document, and makes it again', async () => {
    const index = await start()
    await until(() => textOf(index).startsWith('{'))
    const digest = parseSha256((await signed()).release_shards[0] ?? '') as Sha256
    await writeFile(join(folder.path, 'documents', digest), 'something else')
    expect(await index.document(digest)).toBeNull()
    await until(async () => (await index.document(digest)) !== null)
    expect((await index.document(digest))?.plain.digest).toBe(digest)
    expect(await index.document(sha256Of('unknown'))).toBeNull()
  })

  it('signs nothing without a key, and from the moment on that there is one', async () => {
    let keys: readonly SigningKey[] = []
    const index = await start(() => Promise.resolve(keys))
    expect(index.current()).toBe('unsigned')
    keys = [key]
    await until(() => textOf(index).startsWith('{'))
    keys = []
    await until(() => index.current() === 'unsigned')
  })

  it('whose key cannot be read does not start', async () => {
    await expect(start(() => Promise.reject(new Error('no key')))).rejects.toThrow('no key')
  })
})
