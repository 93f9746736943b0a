import fc from 'fast-check'
import { expect, it } from 'vitest'
import { RecentCache } from './recent-cache.ts'

it('keeps what is used and forgets what is not', () => {
  const cache = new RecentCache<number>(10)
  cache.set('used', 1, 1)
  for (let i = 0; i < 100; i++) {
    cache.set(`other-${i}`, i, 1)
    expect(cache.get('used')).toBe(1)
  }
  expect(cache.get('other-99')).toBe(99)
  expect(cache.get('other-0')).toBeUndefined()
})

it('does not keep what is heavier than half of all', () => {
  const cache = new RecentCache<number>(10)
  cache.set('a', 1, 5)
  cache.set('b', 2, 6)
  expect([cache.get('a'), cache.get('b')]).toEqual([1, undefined])
  cache.set('a', 3, 6)
  expect(cache.get('a')).toBeUndefined()
})

it('never holds more than it may, nor another value than the last one set', () => {
  const step = fc.record({
    act: fc.constantFrom('set', 'get', 'delete'),
    key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    weight: fc.integer({ min: 0, max: 8 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const cache = new RecentCache<number>(12)
      const last = new Map<string, number>()
      for (const [i, { act, key, weight }] of steps.entries()) {
        if (act === 'set') {
          cache.set(key, i, weight)
          last.set(key, i)
        } else if (act === 'delete') {
          cache.delete(key)
          last.delete(key)
        } else expect([undefined, last.get(key)]).toContain(cache.get(key))
        expect(cache.weight).toBeGreaterThanOrEqual(0)
        expect(cache.weight).toBeLessThanOrEqual(12)
      }
    }),
  )
})
