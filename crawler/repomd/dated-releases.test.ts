import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { Loopback } from '../../test/loopback.ts'
import { type LabListing, type LabListOptions, useMirrorLab } from '../../test/mirrors/lab.ts'
import { writeRepodata } from '../../test/mirrors/written-repo.ts'
import { memoryIndexCache } from '../index.ts'
import { parseReleases } from './dated-releases.ts'

const COUNT = limits.index.maxPastReleases + 4
/** Oldest first, as Amazon's list has them, over a change from one digit to two. */
const RELEASES = Array.from({ length: COUNT }, (_, i) => `2023.${i >> 1}.2024${String(101 + i)}${i % 10}`)

const listOf = (releases: readonly string[]): string => `<?xml version="1.0"?>
<root><releases>${releases
  .map((version) => `<release version="${version}"><update><name>x</name></update></release>`)
  .join('\n')}</releases></root>`

describe('dated releases', () => {
  const lab = useMirrorLab()

  const source = (url: string): object => ({
    id: 'amzn',
    distro: 'amzn',
    arches: { x86_64: 'x86_64' },
    politeness: { concurrency: 4, delayMs: 0, because: 'test' },
    indexes: [
      {
        format: 'repomd',
        archives: [{ id: 'cdn', name: 'cdn', mirrors: [`${url}/cdn`] }],
        mirrorList: true,
        versions: {
          '2023': [
            { archive: 'cdn', path: 'mirrors/latest/{arch}' },
            {
              archive: 'cdn',
              path: 'mirrors/{release}/{arch}',
              releases: 'releasemd.xml',
              frozen: true,
            },
          ],
        },
        names: { kernels: [{ image: ['kernel'], debug: [], uname: '{version}-{release}.{arch}' }] },
      },
    ],
  })

  /** Each release with a kernel of its own, `latest` with that of the newest. */
  async function mirror(isIll: () => boolean = () => false): Promise<Loopback> {
    const root = mkdtempSync(join(lab.work, 'root-'))
    mkdirSync(join(root, 'cdn'))
    writeFileSync(join(root, 'cdn/releasemd.xml'), listOf([...RELEASES, 'latest']))
    for (const [at, release] of RELEASES.entries()) {
      const rpm = { name: 'kernel', version: '6.1.1', release: `${at}.amzn2023` }
      writeRepodata(join(root, 'cdn/guids', release), [rpm])
      if (at === COUNT - 1) writeRepodata(join(root, 'cdn/guids/latest'), [rpm])
    }
    return await lab.serve(root, (req, res) => {
      if (isIll() && req.url?.endsWith('releasemd.xml') === true) {
        res.writeHead(500).end()
        return true
      }
      const [, release] = /\/mirrors\/([^/]+)\/x86_64\/mirror\.list$/.exec(req.url ?? '') ?? []
      if (release === undefined) return false
      res.end(`http://${req.headers.host}/cdn/guids/${release}/\n`)
      return true
    })
  }

  const kernels = ({ packages }: LabListing): number => packages.length
  const ofList = ({ indexes }: LabListing): object =>
    indexes.find(({ index }) => index.endsWith('releasemd.xml')) ?? {}

  it('are read so many a run, newest first, and then never again', async () => {
    const server = await mirror()
    const options: LabListOptions = { cache: memoryIndexCache() }
    const first = await lab.list(source(server.url), options)
    expect(kernels(first)).toBe(limits.index.maxPastReleases)
    expect(ofList(first)).toMatchObject({ partial: true, reason: expect.stringMatching(/^4 repositories/) })
    const oldest = first.packages.map(({ kernel }) => kernel.release)
    expect(oldest).not.toContain('6.1.1-3.amzn2023.x86_64')
    expect(oldest).toContain('6.1.1-4.amzn2023.x86_64')

    const second = await lab.list(source(server.url), options)
    expect(kernels(second)).toBe(COUNT)
    expect(ofList(second)).not.toHaveProperty('partial')
    const third = await lab.list(source(server.url), options)
    expect(kernels(third)).toBe(COUNT)
    // The list, and what is latest: its mirror list and its repomd.xml.
    expect(third.requests).toBe(3)
  })

  it('are not asked for where what has been superseded is not, and those that are known are given', async () => {
    const server = await mirror()
    const cache = memoryIndexCache()
    const newest = await lab.list(source(server.url), { cache, past: false })
    expect([kernels(newest), newest.requests]).toEqual([1, 4])
    expect(ofList(newest)).toMatchObject({ partial: true })
    await lab.list(source(server.url), { cache })
    expect(kernels(await lab.list(source(server.url), { cache, past: false }))).toBe(
      limits.index.maxPastReleases,
    )
  })

  it('that nobody can list now fail as an index: what they had is not gone', async () => {
    let ill = false
    const server = await mirror(() => ill)
    const cache = memoryIndexCache()
    await lab.list(source(server.url), { cache })
    ill = true
    expect(ofList(await lab.list(source(server.url), { cache }))).toMatchObject({ outcome: 'failed' })
  })

  it.each([
    ['nothing', ''],
    ['a web page', '<!DOCTYPE html><html></html>'],
    ['another document', '<metadata/>'],
    ['no release', listOf([])],
    ['releases without a date', listOf(['latest', '2023', '../../../etc', '2023.1.20240101/..'])],
    ['half of one', listOf(RELEASES).slice(0, 200)],
    [
      'more than there can be',
      listOf(
        Array.from(
          { length: limits.index.maxReleases + 1 },
          (_, i) => `2023.1.${String(i).padStart(8, '0')}`,
        ),
      ),
    ],
  ])('are not believed of %s', async (_what, text) => {
    await expect(parseReleases('x', Buffer.from(text))).rejects.toMatchObject({ code: 'MALFORMED' })
  })
})
