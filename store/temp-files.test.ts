import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { scratch } from './scratch.fixture.ts'
import { listTempFiles, removeStaleTempFiles } from './temp-files.ts'

const MINUTE_MS = 60_000

async function leave(dir: string, name: string, ageMs: number): Promise<void> {
  await writeFile(join(dir, name), 'half')
  const at = new Date(Date.now() - ageMs)
  await utimes(join(dir, name), at, at)
}

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return child.pid ?? 0
}

it('removes what a dead process left, and nothing that may still be in use', async () => {
  const dir = await scratch()
  const alive = spawn('sleep', ['60'])
  onTestFinished(() => void alive.kill())
  const dead = await deadPid()
  await leave(dir, `${dead}-aa.tmp`, 20 * MINUTE_MS)
  await leave(dir, `${dead}-aa.tmp-wal`, 20 * MINUTE_MS)
  await leave(dir, `.last-crawl.json.${dead}-ab.tmp`, 20 * MINUTE_MS)
  await leave(dir, `${dead}-bb.tmp`, 1 * MINUTE_MS)
  await leave(dir, `${alive.pid}-cc.tmp`, 0)
  await leave(dir, `${process.pid}-dd.tmp`, 0)
  await leave(dir, 'README', 9000 * MINUTE_MS)
  expect(await removeStaleTempFiles(dir)).toBe(3)
  expect((await readdir(dir)).sort()).toEqual(
    [`${dead}-bb.tmp`, `${alive.pid}-cc.tmp`, `${process.pid}-dd.tmp`, 'README'].sort(),
  )
})

it('knows a file from before its namesake began: process numbers come round again', async () => {
  const dir = await scratch()
  await leave(dir, `${process.pid}-aa.tmp`, 20 * MINUTE_MS + process.uptime() * 1000)
  expect(await removeStaleTempFiles(dir)).toBe(1)
})

it('keeps a young file of a running process for a day', async () => {
  const dir = await scratch()
  await leave(dir, `${process.pid}-aa.tmp`, 0)
  const inHours = (hours: number): number => Date.now() + hours * 60 * MINUTE_MS
  expect(await listTempFiles(dir, inHours(23))).toMatchObject([{ sizeBytes: 4, stale: false }])
  expect(await listTempFiles(dir, inHours(25))).toMatchObject([{ sizeBytes: 4, stale: true }])
})

it('removes what a dead process left with a clock that was days ahead, and nothing of one that runs', async () => {
  const dir = await scratch()
  const dead = await deadPid()
  await leave(dir, `${dead}-aa.tmp`, -25 * 60 * MINUTE_MS)
  await leave(dir, `${dead}-bb.tmp`, -23 * 60 * MINUTE_MS)
  await leave(dir, `${process.pid}-cc.tmp`, -25 * 60 * MINUTE_MS)
  expect(await removeStaleTempFiles(dir)).toBe(1)
  expect((await readdir(dir)).sort()).toEqual([`${dead}-bb.tmp`, `${process.pid}-cc.tmp`].sort())
})

it('finds nothing in a folder that is not there', async () => {
  expect(await removeStaleTempFiles(join(await scratch(), 'absent'))).toBe(0)
})
