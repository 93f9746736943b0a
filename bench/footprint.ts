import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** The most that a piece of work took at one time. */
export interface Footprint {
  /** Resident memory of all processes that this one started. */
  readonly memoryBytes: number
  /** What the files of a folder take on the disk, above what they took before. */
  readonly tempBytes: number
}

const LOOK_EVERY_MS = 50
const PAGE_BYTES = 4096

/** Runs `work` and looks at what it takes, of memory and of the disk below `dir`, twenty times a second. */
export async function withFootprint(dir: string, work: () => Promise<void>): Promise<Footprint> {
  const before = diskBytes(dir)
  let [memoryBytes, tempBytes] = [0, 0]
  const timer = setInterval(() => {
    memoryBytes = Math.max(memoryBytes, memoryOfChildren(process.pid))
    tempBytes = Math.max(tempBytes, diskBytes(dir) - before)
  }, LOOK_EVERY_MS)
  try {
    await work()
    return { memoryBytes, tempBytes }
  } finally {
    clearInterval(timer)
  }
}

export function describeFootprint({ memoryBytes, tempBytes }: Footprint): string {
  const mega = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`
  return `at most ${mega(memoryBytes)} of memory, ${mega(tempBytes)} of temporary files`
}

function memoryOfChildren(root: number): number {
  const children = new Map<number, number[]>()
  const resident = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const stat = orNull(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
    if (stat === null) continue
    // Behind the command's name, which is in brackets and may have any: state, parent, and the 22nd is the pages.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const parent = Number(fields[1])
    children.set(parent, [...(children.get(parent) ?? []), pid])
    resident.set(pid, Number(fields[21]) * PAGE_BYTES)
  }
  let sum = 0
  for (const waiting = [...(children.get(root) ?? [])]; waiting.length > 0;) {
    const pid = waiting.pop() as number
    sum += resident.get(pid) ?? 0
    waiting.push(...(children.get(pid) ?? []))
  }
  return sum
}

function diskBytes(path: string): number {
  const stat = orNull(() => statSync(path))
  if (stat === null) return 0
  if (!stat.isDirectory()) return stat.blocks * 512
  const names = orNull(() => readdirSync(path)) ?? []
  return names.reduce((sum, name) => sum + diskBytes(join(path, name)), 0)
}

/** Files and processes come and go while they are looked at. */
function orNull<T>(look: () => T): T | null {
  try {
    return look()
  } catch {
    return null
  }
}
