import { expect, it } from 'vitest'
import { isDue } from './back-off.ts'

const now = new Date('2026-03-02T12:00:00.000Z')

it.each([
  ['when its time has come', '2026-03-01T12:00:00.000Z', '2026-03-02T12:00:00.000Z', true],
  ['not before', '2026-03-01T12:00:00.001Z', '2026-03-02T12:00:00.001Z', false],
  [
    'though a clock that was ahead noted the last one',
    '2041-03-01T00:00:00.000Z',
    '2041-03-02T00:00:00.000Z',
    true,
  ],
  ['though nobody can tell when', '2026-03-01T12:00:00.000Z', 'never', true],
])('the next try is due %s', (_when, lastTryAt, nextTryAt, expected) => {
  expect(isDue({ lastTryAt, nextTryAt }, now)).toBe(expected)
})
