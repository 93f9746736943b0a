import { expect, it } from 'vitest'
import { BoundedCache } from './bounded-cache.ts'

it('drops what was used longest ago when it weighs too much', () => {
  const cache = new BoundedCache<string>(10)
  cache.set('a', 'A', 4)
  cache.set('b', 'B', 4)
  expect(cache.get('a')).toBe('A')
  cache.set('c', 'C', 4)
  expect(['a', 'b', 'c'].map((key) => cache.get(key))).toEqual(['A', undefined, 'C'])
})

it('counts an entry once, however often it is set or deleted', () => {
  const cache = new BoundedCache<number>(10)
  cache.set('kept', 0, 5)
  for (let i = 0; i < 9; i++) cache.set('again', i, 5)
  cache.delete('again')
  cache.delete('again')
  cache.set('new', 1, 5)
  expect(cache.get('kept')).toBe(0)
  expect(cache.get('new')).toBe(1)
})

it('does not keep what is heavier than the bound, nor what it replaces', () => {
  const cache = new BoundedCache<string>(10)
  cache.set('light', 'L', 1)
  cache.set('a', 'small', 5)
  cache.set('a', 'huge', 11)
  expect(cache.get('a')).toBeUndefined()
  expect(cache.get('light')).toBe('L')
})
