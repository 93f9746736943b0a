import { describe, expect, it } from 'vitest'
import { type Conditions, evaluate, formatHttpDate, parseHttpDate, rangeIsCurrent } from './conditions.ts'

const current = { etag: '"abc"', lastModified: new Date('2024-05-06T07:08:09.500Z') }
const same = 'Mon, 06 May 2024 07:08:09 GMT'
const earlier = 'Mon, 06 May 2024 07:08:08 GMT'

describe('conditions', () => {
  it.each<[string, Partial<Conditions>, string]>([
    ['none', {}, 'go'],
    ['If-None-Match: the tag', { ifNoneMatch: '"abc"' }, 'not-modified'],
    ['If-None-Match: weak compares weakly', { ifNoneMatch: 'W/"abc"' }, 'not-modified'],
    ['If-None-Match: one of several', { ifNoneMatch: '"x", "abc" , "y"' }, 'not-modified'],
    ['If-None-Match: any', { ifNoneMatch: '*' }, 'not-modified'],
    ['If-None-Match: another encoding', { ifNoneMatch: '"abc-gzip"' }, 'go'],
    ['If-None-Match: no quotes is no tag', { ifNoneMatch: 'abc' }, 'go'],
    ['If-None-Match wins over If-Modified-Since', { ifNoneMatch: '"x"', ifModifiedSince: same }, 'go'],
    ['If-Modified-Since: the same second', { ifModifiedSince: same }, 'not-modified'],
    ['If-Modified-Since: earlier', { ifModifiedSince: earlier }, 'go'],
    ['If-Modified-Since: no date', { ifModifiedSince: 'yesterday' }, 'go'],
    ['If-Match: the tag', { ifMatch: '"abc"' }, 'go'],
    ['If-Match: any', { ifMatch: '*' }, 'go'],
    ['If-Match: another', { ifMatch: '"x"' }, 'failed'],
    ['If-Match: weak never matches', { ifMatch: 'W/"abc"' }, 'failed'],
    ['If-Match wins over If-Unmodified-Since', { ifMatch: '"abc"', ifUnmodifiedSince: earlier }, 'go'],
    ['If-Match holds, then If-None-Match', { ifMatch: '"abc"', ifNoneMatch: '"abc"' }, 'not-modified'],
    ['If-Unmodified-Since: earlier', { ifUnmodifiedSince: earlier }, 'failed'],
    ['If-Unmodified-Since: the same second', { ifUnmodifiedSince: same }, 'go'],
  ])('%s', (_, conditions, expected) => {
    const all = {
      ifMatch: undefined,
      ifNoneMatch: undefined,
      ifModifiedSince: undefined,
      ifUnmodifiedSince: undefined,
      ...conditions,
    }
    expect(evaluate(all, current)).toBe(expected)
  })

  it('ignores dates where nobody knows when the bytes changed', () => {
    const all = {
      ifMatch: undefined,
      ifNoneMatch: undefined,
      ifModifiedSince: same,
      ifUnmodifiedSince: earlier,
    }
    expect(evaluate(all, { etag: '"abc"', lastModified: null })).toBe('go')
  })
})

it.each([
  [undefined, true],
  ['"abc"', true],
  ['"x"', false],
  ['W/"abc"', false],
  [same, true],
  [earlier, false],
  ['abc', false],
])('If-Range %s', (ifRange, expected) => {
  expect(rangeIsCurrent(ifRange, current)).toBe(expected)
})

it('reads dates in all three forms, as GMT', () => {
  const date = new Date('1994-11-06T08:49:37Z')
  for (const text of [
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
  ]) {
    expect(parseHttpDate(text)).toEqual(date)
  }
  expect(formatHttpDate(date)).toBe('Sun, 06 Nov 1994 08:49:37 GMT')
  for (const text of [
    '1994-11-06',
    'Sun, 06 Nov 1994 08:49:37 PST',
    'Sun, 66 Foo 1994 08:49:37 GMT',
    '',
    '0',
  ]) {
    expect(parseHttpDate(text)).toBeNull()
  }
})
