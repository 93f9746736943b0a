import { statfs } from 'node:fs/promises'
import { limits } from '../core/limits.ts'
import { ExtractError } from './types.ts'

/** Room on a disk that a file will take. */
export interface Reservation {
  /** So many bytes of it are in the file now, and so on the disk's own account. */
  wrote(bytes: number): void
  /** Gives back what was not written. */
  release(): void
}

/**
 * Room for the temporary files of all jobs that share a folder, promised before anything is written: what the disk has
 * free, less what other jobs have been promised and not written yet. One for all jobs of a process.
 */
export class TempSpace {
  readonly #dir: string
  #promised = 0
  readonly #waiting = new Set<() => void>()
  #live = 0

  constructor(dir: string) {
    this.#dir = dir
  }

  /**
   * Waits for other jobs to be done where there is no room beside them. Throws ExtractError `NO_SPACE` where the disk has
   * not as much by itself, or others keep it for longer than `limits.process.tempWaitMs`; the signal's reason.
   */
  async reserve(bytes: number, signal: AbortSignal): Promise<Reservation> {
    const until = performance.now() + limits.process.tempWaitMs
    for (;;) {
      signal.throwIfAborted()
      const { bavail, bsize } = await statfs(this.#dir)
      const free = bavail * bsize
      // From here to the promise nothing else runs, so that no two are promised the same bytes.
      if (free - this.#promised >= bytes) return this.#promise(bytes)
      if (this.#live === 0 || performance.now() >= until) {
        const others =
          this.#live === 0 ? '' : `, of which ${this.#promised} are promised to ${this.#live} other jobs`
        throw new ExtractError(
          'NO_SPACE',
          `${this.#dir} has ${free} bytes free${others}, ${bytes} are needed`,
        )
      }
      await this.#change(until - performance.now(), signal)
    }
  }

  #promise(bytes: number): Reservation {
    let left = bytes
    let isLive = true
    this.#promised += bytes
    this.#live++
    const wrote = (written: number): void => {
      const taken = Math.min(left, written)
      left -= taken
      this.#promised -= taken
    }
    return {
      wrote,
      release: () => {
        if (!isLive) return
        isLive = false
        wrote(left)
        this.#live--
        for (const wake of [...this.#waiting]) wake()
      },
    }
  }

  async #change(timeoutMs: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', wake)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, timeoutMs)
      signal.addEventListener('abort', wake, { once: true })
      this.#waiting.add(wake)
    })
  }
}
