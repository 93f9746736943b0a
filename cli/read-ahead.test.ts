import { setTimeout } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { readAhead } from './read-ahead.ts'

it('gives all in order, whichever is read first, with no more waiting than allowed', async () => {
  let [waiting, most] = [0, 0]
  const read = async (ms: number): Promise<number> => {
    most = Math.max(most, ++waiting)
    await setTimeout(ms)
    return ms * 2
  }
  const seen: number[] = []
  for await (const { item, result } of readAhead([20, 1, 10, 0, 5], 2, read)) {
    expect(result).toBe(item * 2)
    seen.push(item)
    waiting--
  }
  expect(seen).toEqual([20, 1, 10, 0, 5])
  expect(most).toBe(3)
})

it('throws at the item that cannot be read, after those before it', async () => {
  const seen: number[] = []
  const read = (n: number): Promise<number> =>
    n === 3 ? Promise.reject(new Error('three')) : Promise.resolve(n)
  const all = async (): Promise<void> => {
    for await (const { item } of readAhead([1, 2, 3, 4], 1, read)) seen.push(item)
  }
  await expect(all()).rejects.toThrow('three')
  expect(seen).toEqual([1, 2])
})

it('gives nothing of nothing', async () => {
  for await (const _ of readAhead([], 3, () => Promise.resolve(1))) expect.unreachable()
})
