import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type JobContext, LongJobs } from './long-jobs.ts'

interface Result {
  readonly text: string
  readonly sizeBytes: number
}

/** Work that ends when it is told to. */
function work(): {
  readonly run: (job: JobContext) => Promise<Result>
  readonly end: () => void
  runs: number
} {
  let end = (): void => undefined
  const ended = new Promise<void>((resolve) => (end = resolve))
  const made = {
    runs: 0,
    end: () => end(),
    async run({ signal, progress }: JobContext): Promise<Result> {
      made.runs++
      progress(1, 3)
      await Promise.race([
        ended,
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
      ])
      return { text: `run ${made.runs}`, sizeBytes: 10 }
    },
  }
  return made
}

describe('a job over all kernels', () => {
  it('is done once for all who ask, and kept while the catalog stays as it was', async () => {
    const jobs = new LongJobs<Result>()
    const { run, end } = work()
    const asked = [jobs.get('a', 1, run), jobs.get('a', 1, run)]
    end()
    expect((await Promise.all(asked)).map(({ text }) => text)).toEqual(['run 1', 'run 1'])
    expect((await jobs.get('a', 1, run)).text).toBe('run 1')
    expect((await jobs.get('a', 2, run)).text).toBe('run 2')
  })

  it('goes on while who asked is told how far it is, and is there when they come again', async () => {
    const jobs = new LongJobs<Result>({ waitMs: 1 })
    const { run, end } = work()
    await expect(jobs.get('a', 1, run)).rejects.toMatchObject({
      code: 'PENDING',
      message: expect.stringContaining('1 of 3 kernels') as string,
    })
    end()
    await sleep(5)
    expect((await jobs.get('a', 1, run)).text).toBe('run 1')
  })

  it('is given up when nobody comes again, and begun anew when somebody does', async () => {
    const jobs = new LongJobs<Result>({ waitMs: 1, abandonMs: 20, maxRunning: 1 })
    const first = work()
    await expect(jobs.get('a', 1, first.run)).rejects.toMatchObject({ code: 'PENDING' })
    await expect(jobs.get('b', 1, first.run)).rejects.toMatchObject({ code: 'BUSY' })
    await sleep(60)
    const second = work()
    second.end()
    expect((await jobs.get('b', 1, second.run)).text).toBe('run 1')
  })

  it('that fails says so to all, and is tried again by the next', async () => {
    const jobs = new LongJobs<Result>()
    const fails = (): Promise<Result> => Promise.reject(new Error('no'))
    await expect(jobs.get('a', 1, fails)).rejects.toThrow('no')
    const { run, end } = work()
    end()
    expect((await jobs.get('a', 1, run)).text).toBe('run 1')
  })

  it('ends with the hub', async () => {
    const jobs = new LongJobs<Result>()
    const asked = jobs.get('a', 1, work().run)
    const refused = expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await jobs.close()
    await refused
  })
})
