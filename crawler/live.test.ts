import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { createHttp, hubUserAgent } from '../core/http-client.ts'
import { silentLog } from '../core/log.ts'
import { packageRoot } from '../core/version.ts'
import { readAptConfig } from './apt/apt-config.ts'
import {
  createSources,
  hostPolicies,
  type IndexCache,
  type Listing,
  loadSources,
  memoryIndexCache,
  selectPackages,
} from './index.ts'

/** The Debian mirror that this machine's apt uses, where it answers; null where there is none. */
async function machineMirror(): Promise<string | null> {
  const { entries } = await readAptConfig('/')
  for (const base of entries
    .filter((entry) => entry.suites.includes('bookworm'))
    .flatMap((entry) => entry.uris)) {
    const url = `${base}/dists/bookworm/InRelease`
    const answer = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(5000) }).catch(() => null)
    if (answer?.ok === true) return base
  }
  return null
}

const mirror = await machineMirror()

describe.skipIf(mirror === null)('the Debian mirror of this machine (skipped where none answers)', () => {
  const cache = memoryIndexCache()
  let first: Listing & { bytes: number }

  async function list(memory: IndexCache): Promise<Listing & { bytes: number }> {
    const files = (await loadSources(join(packageRoot, 'data/sources'))).filter(
      (file) => file.id === 'debian',
    )
    const deps = {
      keysDir: join(packageRoot, 'data/keys'),
      aptRoot: '/',
      tempDir: tmpdir(),
      now: () => new Date(),
    }
    const [debian] = createSources(files, deps)
    const http = createHttp({
      userAgent: hubUserAgent('https://example.org/btfhub-tests'),
      hosts: hostPolicies(files),
      log: silentLog,
    })
    const context = { http, cache: memory, log: silentLog, signal: AbortSignal.timeout(50_000) }
    const listing = await debian!.list({ versions: ['12'], arches: ['x86_64'], mirrors: [] }, context)
    await http.close()
    return { ...listing, bytes: http.stats().bytes }
  }

  beforeAll(async () => {
    first = await list(cache)
  })

  it('offers kernels of Debian 12 in all flavours, every index signed', () => {
    const own = first.indexes.filter(({ index }) => !index.includes(' snapshot '))
    expect(own.map(({ outcome, signed, reason }) => ({ outcome, signed, reason }))).toEqual(
      own.map(() => ({ outcome: 'new', signed: true, reason: null })),
    )
    expect(first.packages.length).toBeGreaterThanOrEqual(10)
    expect(new Set(first.packages.map((pkg) => pkg.flavour))).toEqual(new Set(['default', 'cloud', 'rt']))
    for (const { kernel, images, debugs } of first.packages) {
      expect(kernel).toMatchObject({ distro: 'debian', version: '12', arch: 'x86_64' })
      const files = [...images, ...debugs]
      expect(files.length).toBeGreaterThan(0)
      for (const file of files) expect(file.sha256).toMatch(/^[0-9a-f]{64}$/)
    }
    const newest = first.packages.filter((pkg) => pkg.debugs.length > 0 && pkg.images.length > 0)
    expect(newest.length).toBeGreaterThan(0)
  })

  it('costs next to nothing when nothing is new', async () => {
    const second = await list(cache)
    expect(second.packages).toEqual(first.packages)
    expect(second.indexes.every((report) => report.outcome === 'unchanged')).toBe(true)
    // Of a mirror that says nothing to recognise a document by, some InRelease are read once more; packages are not.
    expect(second.bytes).toBeLessThan(first.bytes * 0.02)
    const newest = selectPackages(first.packages, { newest: 1 })
    const packages = newest.reduce((sum, { images }) => sum + (images[0]?.sizeBytes ?? 0), 0)
    expect(second.bytes).toBeLessThan((first.bytes + packages) * 0.002)
  })
})
