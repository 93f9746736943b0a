import { expect, it, onTestFinished, vi } from 'vitest'
import { Hosts, sleep } from './hosts.ts'

const never = new AbortController().signal

it('lets no more in than the host wants, and hands places on in order', async () => {
  const hosts = new Hosts({ others: { concurrency: 2, delayMs: 0 }, byHost: {} }, 3)
  const order: string[] = []
  const a = await hosts.enter('h', never)
  const b = await hosts.enter('h', never)
  const third = hosts.enter('h', never).then((leave) => {
    order.push('third')
    return leave
  })
  const fourth = hosts.enter('h', never).then((leave) => {
    order.push('fourth')
    return leave
  })
  await sleep(10, never)
  expect(order).toEqual([])
  a()
  a()
  await third
  await sleep(5, never)
  expect(order).toEqual(['third'])
  b()
  await fourth
  expect(order).toEqual(['third', 'fourth'])
})

it('keeps nobody waiting because somebody set the clock back', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const hosts = new Hosts({ others: { concurrency: 1, delayMs: 5 }, byHost: {} }, 3)
  ;(await hosts.enter('h', never))()
  vi.setSystemTime(new Date('2001-01-01T00:00:00Z'))
  ;(await hosts.enter('h', never))()
})

it('keeps the delay between the starts of two requests to one host, not to two', async () => {
  const policies = {
    others: { concurrency: 9, delayMs: 0 },
    byHost: { slow: { concurrency: 9, delayMs: 60 } },
  }
  const hosts = new Hosts(policies, 3)
  const began = performance.now()
  await Promise.all([hosts.enter('other', never), hosts.enter('other', never), hosts.enter('slow', never)])
  expect(performance.now() - began).toBeLessThan(50)
  await Promise.all([hosts.enter('slow', never), hosts.enter('slow', never)])
  expect(performance.now() - began).toBeGreaterThanOrEqual(115)
})

it('gives the place of an aborted waiter to the next one', async () => {
  const hosts = new Hosts({ others: { concurrency: 1, delayMs: 0 }, byHost: {} }, 3)
  const leave = await hosts.enter('h', never)
  const quitter = new AbortController()
  const quitting = hosts.enter('h', quitter.signal)
  const patient = hosts.enter('h', never)
  quitter.abort()
  await expect(quitting).rejects.toMatchObject({ name: 'AbortError' })
  leave()
  await patient
})

it('stops a host after so many failures in a row, and forgets them when it answers', () => {
  const hosts = new Hosts({ others: { concurrency: 1, delayMs: 0 }, byHost: {} }, 2)
  hosts.failed('h', 'x')
  hosts.answered('h')
  hosts.failed('h', 'x')
  expect(hosts.stopped('h')).toBeNull()
  hosts.failed('h', 'its answers keep failing')
  expect(hosts.stopped('h')).toBe('its answers keep failing')
  expect(hosts.stopped('other')).toBeNull()
})
