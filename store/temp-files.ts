import { readFileSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { errnoOf, readError, writeError } from './io-errors.ts'

/** A file that somebody works on, or left behind. */
export interface TempFile {
  readonly path: string
  readonly sizeBytes: number
  /** True where nobody can be working on it any more. */
  readonly stale: boolean
}

/** As `core/temp-file` names them, alone or after what they were to become, with what SQLite puts beside a database. */
const TEMP_NAME = /^(?:\..+\.)?(\d+)-[0-9a-f]+\.tmp(-wal|-shm|-journal)?$/

/**
 * A dead owner's file is left alone for so long, because the owner may live in another process namespace that shares
 * this folder. Nothing here idles longer between two writes, except a vmlinux that pahole has open already.
 */
const IDLE_OF_DEAD_MS = 10 * 60_000
/** Process numbers come round again; nobody works on one file for so long. */
const IDLE_OF_ANY_MS = 24 * 3600_000

/** The temporary files in a folder; none where there is no such folder. Throws `IO`. */
export async function listTempFiles(dir: string, now = Date.now()): Promise<readonly TempFile[]> {
  const files: TempFile[] = []
  for (const name of await namesIn(dir)) {
    const pid = TEMP_NAME.exec(name)?.[1]
    if (pid === undefined) continue
    const path = join(dir, name)
    const stats = await stat(path).catch(() => null)
    if (stats === null) continue
    const idleMs = now - stats.mtimeMs
    const owned = isOwner(Number(pid), stats.mtimeMs)
    // Written by a clock that was ahead: it would be young until that time has come.
    const isOfFuture = !owned && -idleMs > IDLE_OF_ANY_MS
    const stale = isOfFuture || idleMs > (owned ? IDLE_OF_ANY_MS : IDLE_OF_DEAD_MS)
    files.push({ path, sizeBytes: stats.size, stale })
  }
  return files
}

/** Removes what dead processes left in a folder; how many. Called when a store is opened. Throws `IO` and `READ_ONLY`. */
export async function removeStaleTempFiles(dir: string, now = Date.now()): Promise<number> {
  const stale = (await listTempFiles(dir, now)).filter((file) => file.stale)
  try {
    for (const file of stale) await rm(file.path, { force: true, recursive: true })
  } catch (err) {
    throw writeError(`removing old temporary files in ${dir}`, err)
  }
  return stale.length
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir)
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return []
    throw readError(`listing ${dir}`, err)
  }
}

/** Whether the process of that number runs, and ran already when the file was last written. */
function isOwner(pid: number, writtenAtMs: number): boolean {
  const startedAtMs = processStart(pid)
  // A second of slack: file times and process times come from different clocks.
  return startedAtMs !== null && startedAtMs <= writtenAtMs + 1000
}

/** When a process began, in ms since the epoch; 0 where only its being there is known; null where there is none. */
function processStart(pid: number): number | null {
  try {
    process.kill(pid, 0)
  } catch (err) {
    if (errnoOf(err) === 'ESRCH') return null
  }
  try {
    // proc(5): after the name in parentheses, which may hold anything, `starttime` is the 20th word, in ticks of
    // 1/100 s (USER_HZ on every Linux) since boot.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
    return Number.isFinite(ticks) ? Date.now() - uptime() * 1000 + ticks * 10 : 0
  } catch {
    return 0
  }
}
