import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../core/version.ts'
import { memoryIndexCache } from '../../crawler/index.ts'
import { loadSources } from '../../crawler/load-sources.ts'
import type { SourceFile } from '../../crawler/schema.ts'
import { addPackage, makeKey, missingAptTool, type TestKey, writeSuite } from '../apt-repository.ts'
import { buildsOf, useMirrorLab, withoutKeys } from './lab.ts'
import { buildRpms, createRepo, missingRpmTool, type TestRpm } from './rpm-repository.ts'
import { type FileServer, missingServer, startApache, startNginx } from './servers.ts'

const missing = missingRpmTool() ?? missingServer() ?? missingAptTool()

describe.skipIf(missing !== null)(
  `the source files against mirrors by the real tools (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const lab = useMirrorLab()
    const root = join(lab.work, 'root')
    const rpms = (dir: string, packages: readonly Omit<TestRpm, 'arch'>[]): string[] =>
      buildRpms(
        join(root, dir),
        packages.map((pkg) => ({ ...pkg, arch: 'x86_64' })),
      )
    let sources: ReadonlyMap<string, SourceFile>
    let key: TestKey
    let nginx: FileServer
    let apache: FileServer

    beforeAll(async () => {
      const files = (await loadSources(join(packageRoot, 'data/sources'))).map(withoutKeys)
      sources = new Map(files.map((file) => [file.id, file]))
      key = makeKey()
      mkdirSync(lab.keysDir, { recursive: true })

      // CentOS 7: a vault with repodata, and a host of debuginfo that has lost its own.
      const el7 = { version: '3.10.0', release: '957.el7' }
      const newer = { version: '3.10.0', release: '1160.119.1.el7' }
      rpms('centos-vault/7.6.1810/os/x86_64/Packages', [
        { name: 'kernel', ...el7 },
        { name: 'kernel-debug', ...el7 },
        { name: 'kernel-devel', ...el7, ballast: 10 },
      ])
      rpms('centos-vault/7.9.2009/updates/x86_64/Packages', [{ name: 'kernel', ...newer }])
      rpms('centos-debuginfo/7/x86_64', [
        { name: 'kernel-debuginfo', ...el7 },
        { name: 'kernel-debug-debuginfo', ...el7 },
        { name: 'kernel-debuginfo', ...newer },
        { name: 'kernel-debuginfo-common-x86_64', ...newer, ballast: 10 },
      ])
      createRepo(join(root, 'centos-vault/7.6.1810/os/x86_64'), 'sqlite', '.bz2')
      createRepo(join(root, 'centos-vault/7.9.2009/updates/x86_64'), 'xml', '.gz')

      // Anolis 8: RHCK and ANCK beside each other.
      const rhck = { version: '4.18.0', release: '305.25.1.an8_4' }
      const anck = { version: '4.19.91', release: '24.8.an8' }
      for (const [repo, build] of [['BaseOS', rhck] as const, ['Plus', anck] as const]) {
        const base = `anolis/8.4/${repo}/x86_64`
        rpms(`${base}/os/Packages`, [
          { name: 'kernel-core', ...build },
          { name: 'kernel', ...build, ballast: 10 },
        ])
        rpms(`${base}/debug/Packages`, [{ name: 'kernel-debuginfo', ...build }])
        createRepo(join(root, base, 'os'), 'xml', '.xz')
        createRepo(join(root, base, 'debug'), 'sqlite', '.xz')
      }

      // Ubuntu: 5.4.0-92 in two series, its debug packages at another host, the signed one's empty.
      const deb = (archive: string, name: string, version: string, kilobytes: number): void =>
        addPackage(join(root, archive), `pool/${archive}-${version}`, {
          name,
          version,
          arch: 'amd64',
          ballast: kilobytes * 8,
        })
      for (const [series, version] of [
        ['focal', '5.4.0-92.103'] as const,
        ['bionic', '5.4.0-92.103~18.04.2'] as const,
      ]) {
        deb('ubuntu', 'linux-image-5.4.0-92-generic', version, 1100)
        deb('ubuntu', 'linux-image-unsigned-5.4.0-92-generic', version, 1200)
        deb('ddebs', 'linux-image-unsigned-5.4.0-92-generic-dbgsym', version, 11_000)
        deb('ddebs', 'linux-image-5.4.0-92-generic-dbgsym', version, 20)
        for (const archive of ['ubuntu', 'ddebs']) {
          writeSuite(
            join(root, archive),
            { suite: series, origin: 'Ubuntu', pool: `pool/${archive}-${version}`, arches: ['amd64'] },
            key,
          )
        }
      }
      nginx = await startNginx(root, lab.work)
      apache = await startApache(root, lab.work, 'table')
    }, 240_000)

    afterAll(async () => {
      await nginx.close()
      await apache.close()
      key.remove()
      rmSync(lab.work, { recursive: true, force: true })
    })

    const CENTOS = [
      'centos/7/x86_64/3.10.0-957.el7.x86_64 3.10.0-957.el7 default kernel kernel-debuginfo',
      'centos/7/x86_64/3.10.0-957.el7.x86_64.debug 3.10.0-957.el7 debug kernel-debug kernel-debug-debuginfo',
      'centos/7/x86_64/3.10.0-1160.119.1.el7.x86_64 3.10.0-1160.119.1.el7 default kernel kernel-debuginfo',
    ]

    it.each(['nginx', 'apache'] as const)(
      'CentOS 7 by %s: images of repositories pair with debuginfo of a bare folder',
      async (server) => {
        const { url } = server === 'nginx' ? nginx : apache
        const listing = await lab.list(sources.get('centos'), {
          versions: ['7'],
          arches: ['x86_64'],
          given: [`${url}/centos-vault`],
        })
        expect(buildsOf(listing)).toEqual(CENTOS)
        // What is known of 3.10 saves its images: none was ever configured with BTF.
        expect(listing.packages.every(({ imagesHaveBtf }) => imagesHaveBtf === false)).toBe(true)
        expect(new Set(listing.indexes.map(({ outcome }) => outcome))).toEqual(new Set(['absent', 'new']))
        for (const { images, debugs } of listing.packages) {
          for (const file of [...images, ...debugs])
            expect((await fetch(file.urls[0]!, { method: 'HEAD' })).status).toBe(200)
        }
      },
    )

    it('Anolis 8: RHCK and ANCK are series of their own', async () => {
      const listing = await lab.list(sources.get('anolis'), {
        versions: ['8'],
        arches: ['x86_64'],
        given: [`${nginx.url}/anolis`],
      })
      expect(buildsOf(listing)).toEqual([
        'anolis/8/x86_64/4.18.0-305.25.1.an8_4.x86_64 4.18.0-305.25.1.an8_4 default kernel-core kernel-debuginfo',
        'anolis/8/x86_64/4.19.91-24.8.an8.x86_64 4.19.91-24.8.an8 default kernel-core kernel-debuginfo',
      ])
      expect(listing.packages.map(({ series, imagesHaveBtf }) => [series, imagesHaveBtf])).toEqual([
        ['anolis/8/4.18', true],
        ['anolis/8/4.19', false],
      ])
    })

    it('Ubuntu 18.04 and 20.04: one release string, two kernels; ddebs pair with the archive; an empty ddeb is none', async () => {
      const listing = await lab.list(sources.get('ubuntu'), {
        versions: ['18.04', '20.04'],
        arches: ['x86_64'],
        given: [`${nginx.url}/ubuntu`],
      })
      expect(buildsOf(listing).sort()).toEqual(
        [
          '18.04/x86_64/5.4.0-92-generic 5.4.0-92.103~18.04.2',
          '20.04/x86_64/5.4.0-92-generic 5.4.0-92.103',
        ].map(
          (build) =>
            `ubuntu/${build} generic linux-image-5.4.0-92-generic+linux-image-unsigned-5.4.0-92-generic linux-image-unsigned-5.4.0-92-generic-dbgsym`,
        ),
      )
      // No key of Ubuntu's is on this machine: the mirror was named by hand, and is said to be unsigned.
      expect(listing.packages.every(({ images }) => images.every(({ signed }) => !signed))).toBe(true)
      expect(listing.indexes.every(({ outcome }) => outcome !== 'failed')).toBe(true)
    })

    it('Ubuntu by http, without its keys and without having been named: not believed', async () => {
      const ubuntu = sources.get('ubuntu')
      const [apt] = ubuntu?.indexes ?? []
      if (ubuntu === undefined || apt?.format !== 'apt') throw new Error('expected an apt index')
      const archives = apt.archives.map((archive) => ({ ...archive, mirrors: [`${nginx.url}/ubuntu`] }))
      const source = { ...ubuntu, indexes: [{ ...apt, archives }] }
      const listing = await lab.list(source, { versions: ['20.04'], arches: ['x86_64'] })
      expect(listing.packages).toEqual([])
      expect(listing.indexes.some(({ outcome }) => outcome === 'failed')).toBe(true)
      expect(listing.indexes.find(({ outcome }) => outcome === 'failed')?.reason).toMatch(
        /http proves nothing/,
      )
    })

    it('costs next to nothing when nothing is new', async () => {
      const cache = memoryIndexCache()
      const scope = { versions: ['8'], arches: ['x86_64'] as const, given: [`${nginx.url}/anolis`], cache }
      const first = await lab.list(sources.get('anolis'), scope)
      const second = await lab.list(sources.get('anolis'), scope)
      expect(second.packages).toEqual(first.packages)
      // All that is left are repositories that are not there, and one conditional answer for each that is.
      expect(second.bytes).toBe(0)
    })
  },
)
