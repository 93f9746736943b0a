import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * The most memory that a running process has had at one time, in bytes (`VmHWM`, proc(5)): the kernel keeps the highest
 * value itself, so that looking now and then misses only what the last moment before the end adds.
 */
export function watchPeakMemory(child: ChildProcess): () => number {
  let peakBytes = 0
  const look = (): void => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      peakBytes = Math.max(peakBytes, Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024)
    } catch {
      // It has ended.
    }
  }
  const timer = setInterval(look, 20)
  child.once('exit', () => clearInterval(timer))
  return () => peakBytes
}
