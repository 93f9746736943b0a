import { expect, it } from 'vitest'
import { Bodies } from './bodies.ts'
import { type Content, memoryContent } from './content.ts'

const options = { maxBytes: 1000, smallBytes: 100, maxLargeReads: 1 }

/** Content that counts how often it is read. */
function counted(size: number, fill: number): { content: Content; reads: () => number } {
  const content = memoryContent(Buffer.alloc(size, fill))
  let reads = 0
  return {
    content: {
      ...content,
      async read() {
        reads++
        return content.read()
      },
    },
    reads: () => reads,
  }
}

it('reads a small body once, however many ask', async () => {
  const bodies = new Bodies(options)
  const { content, reads } = counted(50, 1)
  const all = await Promise.all(Array.from({ length: 20 }, () => bodies.get(content)))
  await bodies.get(content)
  expect(reads()).toBe(1)
  expect(all[0]).toEqual(Buffer.alloc(50, 1))
})

it('streams a large body the first time and holds it from the second on', async () => {
  const bodies = new Bodies(options)
  const { content, reads } = counted(500, 1)
  expect(await bodies.get(content)).toBeNull()
  expect((await bodies.get(content))?.byteLength).toBe(500)
  await bodies.get(content)
  expect(reads()).toBe(1)
})

it('reads no more large bodies at a time than allowed, and never what is larger than all it may hold', async () => {
  const bodies = new Bodies(options)
  const [a, b, huge] = [counted(500, 1), counted(500, 2), counted(2000, 3)]
  for (const { content } of [a, b, huge]) await bodies.get(content)
  const both = await Promise.all([bodies.get(a.content), bodies.get(b.content)])
  expect(both.filter((body) => body === null)).toHaveLength(1)
  expect(await bodies.get(huge.content)).toBeNull()
  expect(huge.reads()).toBe(0)
})

it('forgets what was used longest ago when it holds too much', async () => {
  const bodies = new Bodies(options)
  const many = Array.from({ length: 40 }, (_, i) => counted(100, i))
  for (const { content } of many) await bodies.get(content)
  expect(bodies.bytesHeld).toBeLessThanOrEqual(1000)
  await bodies.get((many[39] as (typeof many)[number]).content)
  await bodies.get((many[0] as (typeof many)[number]).content)
  expect(many[39]?.reads()).toBe(1)
  expect(many[0]?.reads()).toBe(2)
})

it('a body that cannot be read is an error each time, not a memory', async () => {
  const bodies = new Bodies(options)
  const content: Content = {
    ...memoryContent(Buffer.alloc(10)),
    read: () => Promise.reject(new Error('ill')),
  }
  await expect(bodies.get(content)).rejects.toThrow('ill')
  await expect(bodies.get(content)).rejects.toThrow('ill')
})
