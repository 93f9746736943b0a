import { describe, expect, it } from 'vitest'
import { parseRetryAfter, retryDelayMs, type RetryPolicy } from './http-retry.ts'

const policy: RetryPolicy = {
  tries: 4,
  backoffBaseMs: 100,
  backoffMaxMs: 1000,
  maxRetryAfterMs: 5000,
  random: () => 1,
}

describe('retryDelayMs', () => {
  it('doubles up to its ceiling', () => {
    expect([1, 2, 3, 4, 5, 60].map((n) => retryDelayMs(policy, n, null))).toEqual([
      100, 200, 400, 800, 1000, 1000,
    ])
  })

  it('spreads tries over the upper half of the pause', () => {
    expect(retryDelayMs({ ...policy, random: () => 0 }, 2, null)).toBe(100)
  })

  it('waits as long as the host asks for, and not at all where that is too long', () => {
    expect(retryDelayMs(policy, 1, 3000)).toBe(3000)
    expect(retryDelayMs(policy, 1, 5001)).toBeNull()
  })
})

describe('parseRetryAfter', () => {
  const now = new Date('2026-11-21T10:00:00Z')
  it.each([
    ['120', 120_000],
    ['0', 0],
    ['Sat, 21 Nov 2026 10:00:30 GMT', 30_000],
    ['Sat, 21 Nov 2026 09:00:00 GMT', 0],
    ['', null],
    ['-5', null],
    ['soon', null],
    ['1e9', null],
  ])('reads %j as %j', (text, expected) => {
    expect(parseRetryAfter(text, now)).toBe(expected)
  })
})
