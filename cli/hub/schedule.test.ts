import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { silentLog } from '../../core/log.ts'
import { Exit, ExitCode } from '../exit.ts'
import { parseDuration, repeat } from './schedule.ts'

describe('parseDuration', () => {
  it.each([
    ['1s', 1000],
    ['90m', 5_400_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['0s', null],
    ['21d', null],
    ['24', null],
    ['h', null],
    ['1.5h', null],
    ['-1h', null],
    ['', null],
  ])('%j is %j', (text, expected) => {
    expect(parseDuration(text)).toBe(expected)
  })
})

describe('repeat', () => {
  it('works again and again, whatever comes of it, and with a pause that grows by its jitter', async () => {
    const abort = new AbortController()
    const began: number[] = []
    await repeat(
      100,
      () => {
        began.push(performance.now())
        if (began.length === 3) abort.abort()
        return Promise.reject(began.length === 1 ? new Exit(ExitCode.failed) : new Error('no disk'))
      },
      { signal: abort.signal, log: silentLog, random: () => 1 },
    )
    expect(began).toHaveLength(3)
    expect(began[1]! - began[0]!).toBeGreaterThan(105)
  })

  it.each(['2001-01-01T00:00:00Z', '2060-01-01T00:00:00Z'])(
    'goes on as it was told to when somebody sets the clock to %s',
    async (time) => {
      vi.useFakeTimers({ toFake: ['Date'] })
      onTestFinished(() => void vi.useRealTimers())
      const abort = new AbortController()
      const began: number[] = []
      const work = (): Promise<void> => {
        vi.setSystemTime(new Date(time))
        if (began.push(performance.now()) === 3) abort.abort()
        return Promise.resolve()
      }
      await repeat(50, work, { signal: abort.signal, log: silentLog, random: () => 0 })
      expect(began[2]! - began[0]!).toBeGreaterThan(95)
    },
  )

  it('ends at once when it is told to, in a run as in a pause', async () => {
    const abort = new AbortController()
    setTimeout(() => abort.abort(new DOMException('stopped', 'AbortError')), 30)
    const began = performance.now()
    await repeat(1e7, () => Promise.resolve(), { signal: abort.signal, log: silentLog, random: () => 0 })
    expect(performance.now() - began).toBeLessThan(1000)
    await repeat(1e7, () => Promise.reject(new Error('never')), {
      signal: abort.signal,
      log: silentLog,
      random: () => 0,
    })
  })
})
