import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** What a piece of work took, of this machine. */
export interface Footprint {
  readonly wallMs: number
  /** The most resident memory, at one time, of all processes that this one started. */
  readonly memoryBytes: number
  /** The most that the files of a folder took on the disk, above what they took before. */
  readonly tempBytes: number
  /** By the name of a program: how long one of it ran, and what time all of them had of a processor. */
  readonly programs: ReadonlyMap<string, ProgramUse>
}

export interface ProgramUse {
  readonly wallMs: number
  readonly cpuMs: number
}

const LOOK_EVERY_MS = 50
const PAGE_BYTES = 4096
/** USER_HZ, which is 100 on every architecture (proc(5)). */
const MS_PER_TICK = 10

/** Runs `work` and looks at what it takes, of memory and of the disk below `dir`, twenty times a second. */
export async function withFootprint(dir: string, work: () => Promise<void>): Promise<Footprint> {
  const before = diskBytes(dir)
  const started = performance.now()
  const programs = new Programs(started)
  let [memoryBytes, tempBytes] = [0, 0]
  const timer = setInterval(() => {
    const children = childrenOf(process.pid)
    programs.look(children, performance.now())
    memoryBytes = Math.max(
      memoryBytes,
      children.reduce((sum, child) => sum + child.memoryBytes, 0),
    )
    tempBytes = Math.max(tempBytes, diskBytes(dir) - before)
  }, LOOK_EVERY_MS)
  try {
    await work()
    return { wallMs: performance.now() - started, memoryBytes, tempBytes, programs: programs.uses() }
  } finally {
    clearInterval(timer)
  }
}

export function describeFootprint({ memoryBytes, tempBytes }: Footprint): string {
  const mega = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`
  return `at most ${mega(memoryBytes)} of memory, ${mega(tempBytes)} of temporary files`
}

/** Adds up what is seen of processes, look by look. */
class Programs {
  readonly #wallMs = new Map<string, number>()
  /** The last that was seen of each process: it is gone at the next look. */
  readonly #cpu = new Map<number, Process>()
  #lookedAt: number

  constructor(now: number) {
    this.#lookedAt = now
  }

  look(processes: readonly Process[], now: number): void {
    const names = new Set(processes.map(({ program }) => program))
    for (const name of names) this.#wallMs.set(name, (this.#wallMs.get(name) ?? 0) + now - this.#lookedAt)
    for (const process of processes) this.#cpu.set(process.pid, process)
    this.#lookedAt = now
  }

  uses(): ReadonlyMap<string, ProgramUse> {
    const cpuMs = new Map<string, number>()
    for (const one of this.#cpu.values()) cpuMs.set(one.program, (cpuMs.get(one.program) ?? 0) + one.cpuMs)
    return new Map([...this.#wallMs].map(([name, wallMs]) => [name, { wallMs, cpuMs: cpuMs.get(name) ?? 0 }]))
  }
}

interface Process {
  readonly pid: number
  readonly program: string
  readonly cpuMs: number
  readonly memoryBytes: number
}

function childrenOf(root: number): readonly Process[] {
  const children = new Map<number, Process[]>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const stat = orNull(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
    if (stat === null) continue
    // The command's name is in brackets and may have any; fields behind it by their numbers in proc_pid_stat(5).
    const end = stat.lastIndexOf(')')
    const fields = stat.slice(end + 2).split(' ')
    const field = (number: number): number => Number(fields[number - 3])
    const parent = field(4)
    const process = {
      pid,
      program: stat.slice(stat.indexOf('(') + 1, end),
      cpuMs: (field(14) + field(15)) * MS_PER_TICK,
      memoryBytes: field(24) * PAGE_BYTES,
    }
    children.set(parent, [...(children.get(parent) ?? []), process])
  }
  const found: Process[] = []
  for (const waiting = [root]; waiting.length > 0;) {
    for (const child of children.get(waiting.pop() as number) ?? []) {
      found.push(child)
      waiting.push(child.pid)
    }
  }
  return found
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
