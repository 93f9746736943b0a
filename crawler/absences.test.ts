import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { useMirrorLab } from '../test/mirrors/lab.ts'
import { memoryIndexCache } from './memory-cache.ts'

const DAY_MS = 24 * 3600_000
const start = new Date('2026-11-21T02:00:00Z')
const later = (days: number): Date => new Date(start.getTime() + days * DAY_MS + 1000)

const names = {
  kernels: [{ image: ['kernel'], debug: [], uname: '{version}-{release}.{arch}' }],
}

function source(format: 'autoindex' | 'repomd', mirrors: readonly string[], frozen: boolean): object {
  return {
    id: 'centos',
    distro: 'centos',
    arches: { x86_64: 'x86_64' },
    politeness: { concurrency: 4, delayMs: 0, because: 'test' },
    indexes: [
      {
        format,
        archives: [{ id: 'vault', name: 'vault', mirrors }],
        versions: {
          '7': [{ archive: 'vault', path: '{point}/Packages', each: { point: ['7.1', '7.2'] }, frozen }],
        },
        names,
      },
    ],
  }
}

describe('what no mirror has', () => {
  const lab = useMirrorLab()
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(lab.work, path)), { recursive: true })
    writeFileSync(join(lab.work, path), text)
  }
  const page = '<html><a href="kernel-3.10.0-957.el7.x86_64.rpm">kernel</a>'

  it.each([
    [false, [1, 3, 7, 14, 21]],
    [true, [1, 3, 7, 15, 31, 61, 91]],
  ])('is asked for ever more seldom, frozen %j: on days %j', async (frozen, days) => {
    put('empty/x', '')
    const mirrors = [await lab.serve(join(lab.work, 'empty')), await lab.serve(join(lab.work, 'empty'))]
    const cache = memoryIndexCache()
    const file = source(
      'repomd',
      mirrors.map(({ url }) => url),
      frozen,
    )
    const first = await lab.list(file, { cache, now: start })
    expect(first.indexes.map(({ outcome, notBefore }) => [outcome, notBefore])).toEqual([
      ['absent', undefined],
      ['absent', undefined],
    ])
    expect(first.requests).toBe(4)
    const asked: number[] = []
    for (let day = 1; day <= (days.at(-1) ?? 0); day++) {
      const { requests, indexes } = await lab.list(file, { cache, now: later(day) })
      expect([0, 4]).toContain(requests)
      expect(indexes.every(({ outcome }) => outcome === 'absent')).toBe(true)
      if (requests > 0) asked.push(day)
      else expect(Date.parse(indexes[0]!.notBefore!)).toBeGreaterThan(later(day).getTime())
    }
    expect(asked).toEqual(days)
  })

  it('is found as soon as it is asked for again, and no longer rests when it goes another time', async () => {
    put('half/7.1/Packages/index.html', page)
    const root = join(lab.work, 'half')
    const has = { 7.2: false }
    const server = await lab.serve(root, (req, res) => {
      if (req.url === '/7.1/Packages/' || (has[7.2] && req.url === '/7.2/Packages/')) res.end(page)
      else res.writeHead(404).end()
      return true
    })
    const cache = memoryIndexCache()
    const list = (day: number, options = {}): Promise<[number, string[]]> =>
      lab
        .list(source('autoindex', [server.url], false), { cache, now: later(day), ...options })
        .then(({ requests, indexes }) => [requests, indexes.map(({ outcome }) => outcome)])
    expect(await list(0)).toEqual([2, ['new', 'absent']])
    expect(await list(0.5)).toEqual([1, ['unchanged', 'absent']])
    expect(await list(0.5, { again: true })).toEqual([2, ['unchanged', 'absent']])
    has[7.2] = true
    expect(await list(1.2)).toEqual([1, ['unchanged', 'absent']])
    // Mirrors that were given are asked whatever others have said.
    expect(await list(1.2, { given: [server.url] })).toEqual([2, ['unchanged', 'new']])
    expect(await list(3)).toEqual([2, ['unchanged', 'unchanged']])
    has[7.2] = false
    expect(await list(4)).toEqual([2, ['unchanged', 'absent']])
    expect(await list(6)).toEqual([2, ['unchanged', 'absent']])
  })

  it('is not known where a mirror could not be asked, and is asked for again where there is a new mirror', async () => {
    put('empty/x', '')
    const empty = await lab.serve(join(lab.work, 'empty'))
    const ill = await lab.serve(join(lab.work, 'empty'), (_req, res) => res.writeHead(503).end() !== null)
    const cache = memoryIndexCache()
    const asks = async (...urls: string[]): Promise<string[]> => {
      const listing = await lab.list(source('repomd', urls, false), { cache, now: start })
      return listing.indexes.map(
        ({ outcome, notBefore }) => `${outcome}${notBefore === undefined ? '' : ', resting'}`,
      )
    }
    expect(await asks(ill.url, empty.url)).toEqual(['failed', 'failed'])
    expect(await asks(ill.url, empty.url)).toEqual(['failed', 'failed'])
    expect(await asks(empty.url)).toEqual(['absent', 'absent'])
    expect(await asks(empty.url)).toEqual(['absent, resting', 'absent, resting'])
    expect(await asks(empty.url, (await lab.serve(join(lab.work, 'empty'))).url)).toEqual([
      'absent',
      'absent',
    ])
  })
})
