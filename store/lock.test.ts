import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { withLock } from './lock.ts'
import { scratch } from './scratch.fixture.ts'

it('gives back what the handler gives, and is free afterwards', async () => {
  const dir = await scratch()
  expect(await withLock(dir, 'crawl', async () => 1)).toBe(1)
  expect(await withLock(dir, 'crawl', async () => 2)).toBe(2)
})

it('is free after a handler that throws', async () => {
  const dir = await scratch()
  const failing = withLock(dir, 'crawl', async () => {
    throw new Error('crawl failed')
  })
  await expect(failing).rejects.toThrow('crawl failed')
  expect(await withLock(dir, 'crawl', async () => 'free')).toBe('free')
})

it('refuses a second holder in the same process, by name, and only of the same name and folder', async () => {
  const [dir, other] = [await scratch(), await scratch()]
  await withLock(dir, 'crawl', async () => {
    const second = withLock(dir, 'crawl', async () => {})
    await expect(second).rejects.toMatchObject({ code: 'BUSY' })
    await expect(second).rejects.toThrow(
      new RegExp(`another crawl .* process ${process.pid} on .*, since 20`),
    )
    await withLock(dir, 'gc', async () => {})
    await withLock(other, 'crawl', async () => {})
    await expect(withLock(dir, 'crawl', async () => {})).rejects.toMatchObject({ code: 'BUSY' })
  })
})

it('is free whatever a holder that is gone has left, with times that are still to come', async () => {
  const dir = await scratch()
  await withLock(dir, 'crawl', () => Promise.resolve())
  const ahead = new Date('2090-01-01T00:00:00Z')
  const holder = { pid: process.pid, host: 'here', since: ahead.toISOString() }
  await writeFile(join(dir, 'locks/crawl.json'), JSON.stringify(holder))
  for (const file of ['crawl.json', 'crawl.lock']) await utimes(join(dir, 'locks', file), ahead, ahead)
  expect(await withLock(dir, 'crawl', async () => 'free')).toBe('free')
})

it('lets exactly one of many in at a time', async () => {
  const dir = await scratch()
  let [inside, most, refused] = [0, 0, 0]
  const attempt = async (): Promise<void> => {
    try {
      await withLock(dir, 'crawl', async () => {
        most = Math.max(most, ++inside)
        await new Promise((resolve) => setTimeout(resolve, 20))
        inside--
      })
    } catch {
      refused++
    }
  }
  await Promise.all(Array.from({ length: 10 }, attempt))
  expect([most, refused]).toEqual([1, 9])
})

it('says so where no lock can be made', async () => {
  const dir = await scratch()
  await writeFile(join(dir, 'locks'), '')
  await expect(withLock(dir, 'crawl', async () => {})).rejects.toMatchObject({ code: 'IO' })
})
