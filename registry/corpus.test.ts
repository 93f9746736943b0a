import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { layoutDigest, parseBtf, rawBtf } from '../btf/index.ts'
import { silentLog } from '../core/log.ts'
import { makeKernel } from '../core/kernel.ts'
import { packageRoot } from '../core/version.ts'
import { addTool, compileTool } from '../test/helpers/registry.ts'
import { openTestStore, sampleBuild, type TestStore } from '../test/helpers/store.ts'
import { createApp } from './app.ts'
import * as api from './api.ts'
import { createHub } from './hub.ts'

const corpus = join(packageRoot, process.env['BTFHUB_CORPUS'] ?? '../shared/data', 'btf')
const kernels = [
  'ubuntu/18.04/arm64/5.4.0-80-generic',
  'ubuntu/20.04/arm64/5.4.0-80-generic',
  'alinux/2/x86_64/4.19.91-21.al7.x86_64',
  'alinux/2/x86_64/4.19.91-24.1.al7.x86_64',
  'debian/13/x86_64/6.12.107+deb13-amd64',
]
/** Two kernels of different layout under one release, as rebuilds and spins have it. */
const renamed: Readonly<Record<string, string>> = {
  'alinux/2/x86_64/4.19.91-24.1.al7.x86_64': 'alinux/3/x86_64/4.19.91-21.al7.x86_64',
}

describe.skipIf(!existsSync(corpus))('real kernels (skipped where there is no corpus)', () => {
  let store: TestStore
  let ask: (path: string, init?: RequestInit) => Promise<Response>
  const head = (path: string): Promise<Response> => ask(path, { method: 'HEAD' })

  beforeAll(async () => {
    store = await openTestStore()
    for (const path of kernels) {
      const unpacked = spawnSync('xz', ['-dc', join(corpus, `${path}.btf.xz`)], {
        maxBuffer: 64 * 1024 * 1024,
      })
      const btf = new Uint8Array(rawBtf(unpacked.stdout))
      await store.blobs.put(btf)
      const [distro = '', version = '', arch = '', release = ''] = (renamed[path] ?? path).split('/')
      const provenance = { origin: 'imported', buildId: null, banner: null } as const
      const build = sampleBuild({ kernel: makeKernel(distro, version, arch, release), btf, provenance })
      await store.catalog.addBuild({ ...build, layoutDigest: layoutDigest(parseBtf(btf)) })
    }
    await addTool(store, 'both', '1', compileTool(['pid', 'tgid']))
    const app = createApp(createHub({ ...store, log: silentLog }))
    ask = async (path, init) => app.request(path, init)
  })

  afterAll(() => store.cleanUp())

  it('one release of two layouts is ambiguous until the version is told', async () => {
    const path = '/v1/btf/4.19.91-21.al7.x86_64'
    const several = await ask(path)
    expect(several.status).toBe(409)
    expect(api.Problem.parse(await several.json())).toMatchObject({
      code: 'AMBIGUOUS',
      tells_apart: ['version'],
    })
    for (const version of ['2', '3']) {
      const { headers } = await head(`${path}?version=${version}`)
      expect(headers.get('btfhub-kernel')).toBe(`alinux/${version}/x86_64/4.19.91-21.al7.x86_64`)
    }
  })

  // Their BTFs differ in functions only: bpftool prints the same C for both.
  it('one release of two Ubuntus with one layout is not ambiguous, and each can be had by its name', async () => {
    const path = '/v1/btf/5.4.0-80-generic?arch=arm64'
    expect((await head(path)).headers.get('btfhub-kernel')).toContain('ubuntu/20.04')
    const sizes = new Map([
      ['18.04', 5_007_005],
      ['20.04', 5_021_717],
    ])
    for (const [version, size] of sizes) {
      for (const url of [
        `${path}&distro=ubuntu&version=${version}`,
        `${path}&os_release=${encodeURIComponent(`ID=ubuntu\nVERSION_ID="${version}"\n`)}`,
        `/ubuntu/${version}/arm64/5.4.0-80-generic.btf`,
      ]) {
        const response = await ask(url)
        expect([response.status, response.headers.get('content-length')]).toEqual([200, String(size)])
        expect((await response.arrayBuffer()).byteLength).toBe(size)
      }
    }
  })

  it('min BTF of a real kernel is a few hundred bytes, whatever the asker calls it', async () => {
    for (const path of ['6.12.107+deb13-amd64', '6.12.107%2Bdeb13-amd64']) {
      const response = await ask(`/v1/min/both/${path}?distro=debian&version=trixie`)
      expect(response.status).toBe(200)
      expect((await response.arrayBuffer()).byteLength).toBeLessThan(1000)
    }
  })
})
