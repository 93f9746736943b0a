import { expect, it } from 'vitest'
import { readSeldom } from './read-seldom.ts'

it('reads once for all who ask within the while, and again after it', async () => {
  let reads = 0
  const read = readSeldom(50, () => Promise.resolve(++reads))
  expect(await Promise.all([read(), read(), read()])).toEqual([1, 1, 1])
  await new Promise((resolve) => setTimeout(resolve, 80))
  expect(await read()).toBe(2)
})

it('keeps no failure: who waited is told, who asks next gets another reading', async () => {
  let reads = 0
  const read = readSeldom(60_000, () =>
    ++reads === 1 ? Promise.reject(new Error('ill')) : Promise.resolve(reads),
  )
  expect(await Promise.allSettled([read(), read()])).toMatchObject([
    { status: 'rejected' },
    { status: 'rejected' },
  ])
  expect(await read()).toBe(2)
})
