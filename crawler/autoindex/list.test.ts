import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildsOf, useMirrorLab } from '../../test/mirrors/lab.ts'
import { missingServer, startApache, startNginx } from '../../test/mirrors/servers.ts'
import { memoryIndexCache } from '../index.ts'

const missing = missingServer()

const FILES = [
  'kernel-debuginfo-3.10.0-957.el7.x86_64.rpm',
  'kernel-debuginfo-3.10.0-1160.119.1.el7.x86_64.rpm',
  'kernel-debuginfo-common-x86_64-3.10.0-957.el7.x86_64.rpm',
  'kernel-debug-debuginfo-3.10.0-957.el7.x86_64.rpm',
  'kernel-debuginfo-4.14.0-115.el7a.aarch64.rpm',
  'kernel-debuginfo-5.4.28+rc1~2-200.el7.x86_64.rpm',
  'bash-debuginfo-4.2.46-31.el7.x86_64.rpm',
]

const BUILDS = [
  'centos/7/x86_64/3.10.0-957.el7.x86_64 3.10.0-957.el7 default - kernel-debuginfo',
  'centos/7/x86_64/3.10.0-1160.119.1.el7.x86_64 3.10.0-1160.119.1.el7 default - kernel-debuginfo',
  'centos/7/x86_64/5.4.28+rc1~2-200.el7.x86_64 5.4.28+rc1~2-200.el7 default - kernel-debuginfo',
]

function source(mirrors: readonly string[]): object {
  return {
    id: 'centos',
    distro: 'centos',
    arches: { x86_64: 'x86_64' },
    politeness: { concurrency: 2, delayMs: 0, because: 'test' },
    indexes: [
      {
        format: 'autoindex',
        archives: [
          {
            id: 'debuginfo',
            name: 'centos-debuginfo',
            mirrors: mirrors.map((url) => `${url}/centos-debuginfo`),
          },
        ],
        versions: { '7': [{ archive: 'debuginfo', path: '{version}/{arch}' }] },
        names: {
          kernels: [{ image: ['kernel'], debug: ['kernel-debuginfo'], uname: '{version}-{release}.{arch}' }],
          leastBytes: { image: 1_000_000, debug: 1_000_000 },
        },
      },
    ],
  }
}

describe.skipIf(missing !== null)(
  `folders as web servers show them (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const lab = useMirrorLab()
    const root = join(lab.work, 'root')

    beforeAll(() => {
      const dir = join(root, 'centos-debuginfo/7/x86_64')
      mkdirSync(join(dir, 'repodata.old'), { recursive: true })
      for (const name of FILES) writeFileSync(join(dir, name), Buffer.alloc(1_200_000))
      writeFileSync(join(dir, 'kernel-debuginfo-3.10.0-1.el7.x86_64.rpm'), 'too small')
    })

    it('nginx: exact sizes and dates, no digests', async () => {
      const server = await startNginx(root, lab.work)
      lab.onClose(() => server.close())
      const cache = memoryIndexCache()
      const listing = await lab.list(source([server.url]), { cache })
      // nginx states sizes of any number of digits; those under five are not believed, so the small one stays.
      expect(buildsOf(listing)).toEqual([
        'centos/7/x86_64/3.10.0-1.el7.x86_64 3.10.0-1.el7 default - kernel-debuginfo',
        ...BUILDS,
      ])
      const [file] = listing.packages[3]?.debugs ?? []
      expect(file).toMatchObject({ sizeBytes: 1_200_000, sha256: null })
      expect(Date.now() - Date.parse(file?.date ?? '')).toBeLessThan(26 * 3600_000)
      const answer = await fetch(file?.urls[0] ?? '')
      expect((await answer.arrayBuffer()).byteLength).toBe(1_200_000)
      const again = await lab.list(source([server.url]), { cache })
      expect(again.indexes).toMatchObject([{ outcome: 'unchanged', signed: false }])
      expect(again.packages).toEqual(listing.packages)
    })

    it.each(['table', 'list'] as const)(
      'Apache as a %s: names that it cuts off in print are whole in its links',
      async (style) => {
        const server = await startApache(root, lab.work, style)
        lab.onClose(() => server.close())
        const listing = await lab.list(source([server.url]))
        expect(buildsOf(listing).slice(1)).toEqual(BUILDS)
        // Apache rounds sizes: 1.1M is none.
        expect(listing.packages[1]?.debugs[0]).toMatchObject({ sizeBytes: null, sha256: null })
        expect(listing.packages[1]?.debugs[0]?.date).toMatch(/^20\d\d-/)
        expect((await fetch(listing.packages[3]?.debugs[0]?.urls[0] ?? '')).status).toBe(200)
      },
    )

    it('tells a folder that is not there from a server that is not', async () => {
      const server = await startNginx(join(root, 'centos-debuginfo'), lab.work)
      expect((await lab.list(source([server.url]))).indexes).toMatchObject([{ outcome: 'absent' }])
      await server.close()
      expect((await lab.list(source([server.url]))).indexes).toMatchObject([{ outcome: 'failed' }])
    })
  },
)
