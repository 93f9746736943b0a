import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Arch } from '../core/kernel.ts'
import { packageRoot } from '../core/version.ts'
import { loadSources } from './load-sources.ts'
import { kernelNames } from './names.ts'
import { parseRpmFileName, rpmKernelNames } from './rpm/names.ts'
import type { SourceFile } from './schema.ts'

let sources: ReadonlyMap<string, SourceFile>

beforeAll(async () => {
  const files = await loadSources(join(packageRoot, 'data/sources'))
  sources = new Map(files.map((file) => [file.id, file]))
})

/** What a source makes of a package: `role flavour release`, or null. A name of rpm is that of a file. */
function read(id: string, arch: Arch, text: string): string | null {
  const file = sources.get(id)
  const archName = file?.arches[arch]
  const index = file?.indexes[0]
  if (index === undefined || archName === undefined) throw new Error(`no source ${id} for ${arch}`)
  let name
  if (index.format !== 'repomd' && index.format !== 'autoindex')
    name = kernelNames(index.names, archName).parse(text)
  else {
    const rpm = parseRpmFileName(`${text}.rpm`)
    name = rpm === null ? null : rpmKernelNames(index.names, archName).parse(rpm)
  }
  return name === null ? null : `${name.role} ${name.flavour} ${name.release}`
}

/** Every version of a distribution that some index of its source has. */
function versionsOf(id: string): Set<string> {
  return new Set(sources.get(id)?.indexes.flatMap((index) => Object.keys(index.versions)))
}

describe('what a package is, by its name', () => {
  it.each<[string, Arch, string, string]>([
    ['centos', 'x86_64', 'kernel-3.10.0-957.el7.x86_64', 'image default 3.10.0-957.el7.x86_64'],
    [
      'centos',
      'x86_64',
      'kernel-debuginfo-3.10.0-1160.119.1.el7.x86_64',
      'debug default 3.10.0-1160.119.1.el7.x86_64',
    ],
    [
      'ol',
      'x86_64',
      'kernel-ueknext-core-6.10.0-2.el9ueknext.x86_64',
      'image ueknext 6.10.0-2.el9ueknext.x86_64',
    ],
    ['centos', 'x86_64', 'kernel-debug-3.10.0-957.el7.x86_64', 'image debug 3.10.0-957.el7.x86_64.debug'],
    [
      'centos',
      'x86_64',
      'kernel-debug-debuginfo-3.10.0-957.el7.x86_64',
      'debug debug 3.10.0-957.el7.x86_64.debug',
    ],
    [
      'centos',
      'x86_64',
      'kernel-plus-3.10.0-957.el7.centos.plus.x86_64',
      'image plus 3.10.0-957.el7.centos.plus.x86_64',
    ],
    [
      'centos',
      'aarch64',
      'kernel-4.14.0-115.10.1.el7a.aarch64',
      'image default 4.14.0-115.10.1.el7a.aarch64',
    ],
    [
      'centos',
      'x86_64',
      'kernel-core-4.18.0-348.7.1.el8_5.x86_64',
      'image default 4.18.0-348.7.1.el8_5.x86_64',
    ],
    ['centos', 'x86_64', 'kernel-debuginfo-4.18.0-147.el8.x86_64', 'debug default 4.18.0-147.el8.x86_64'],
    [
      'centos',
      'x86_64',
      'kernel-debug-debuginfo-4.18.0-147.el8.x86_64',
      'debug debug 4.18.0-147.el8.x86_64+debug',
    ],
    [
      'centos',
      'x86_64',
      'kernel-rt-core-4.18.0-372.96.1.rt7.256.el8_6.x86_64',
      'image rt 4.18.0-372.96.1.rt7.256.el8_6.x86_64',
    ],
    [
      'centos',
      'x86_64',
      'kernel-rt-core-5.14.0-427.13.1.el9_4.x86_64',
      'image rt 5.14.0-427.13.1.el9_4.x86_64+rt',
    ],
    ['centos', 'aarch64', 'kernel-64k-core-6.12.0-39.el10.aarch64', 'image 64k 6.12.0-39.el10.aarch64+64k'],
    [
      'centos',
      'aarch64',
      'kernel-64k-debug-debuginfo-5.14.0-583.el9.aarch64',
      'debug 64k-debug 5.14.0-583.el9.aarch64+64k-debug',
    ],
    ['amzn', 'x86_64', 'kernel-5.15.23-11.98.amzn2022.x86_64', 'image default 5.15.23-11.98.amzn2022.x86_64'],
    ['photon', 'x86_64', 'linux-5.10.61-1.ph4.x86_64', 'image default 5.10.61-1.ph4'],
    ['photon', 'aarch64', 'linux-debuginfo-6.1.10-11.ph5.aarch64', 'debug default 6.1.10-11.ph5'],
    ['photon', 'x86_64', 'linux-esx-5.10.61-1.ph4.x86_64', 'image esx 5.10.61-1.ph4-esx'],
    ['photon', 'x86_64', 'linux-rt-debuginfo-5.10.83-3.ph4.x86_64', 'debug rt 5.10.83-3.ph4-rt'],
    ['rhel', 'x86_64', 'kernel-3.10.0-1160.el7.x86_64', 'image default 3.10.0-1160.el7.x86_64'],
    [
      'rocky',
      'x86_64',
      'kernel-core-5.14.0-362.18.1.el9_3.x86_64',
      'image default 5.14.0-362.18.1.el9_3.x86_64',
    ],
    [
      'almalinux',
      'aarch64',
      'kernel-debuginfo-5.14.0-362.18.1.el9_3.aarch64',
      'debug default 5.14.0-362.18.1.el9_3.aarch64',
    ],
    ['fedora', 'x86_64', 'kernel-core-6.8.11-300.fc40.x86_64', 'image default 6.8.11-300.fc40.x86_64'],
    [
      'ol',
      'x86_64',
      'kernel-uek-4.14.35-2047.516.2.4.el7uek.x86_64',
      'image uek 4.14.35-2047.516.2.4.el7uek.x86_64',
    ],
    [
      'ol',
      'x86_64',
      'kernel-uek-core-5.15.0-202.135.2.el8uek.x86_64',
      'image uek 5.15.0-202.135.2.el8uek.x86_64',
    ],
    [
      'ol',
      'x86_64',
      'kernel-uek-debuginfo-5.4.17-2136.301.0.el7uek.x86_64',
      'debug uek 5.4.17-2136.301.0.el7uek.x86_64',
    ],
    [
      'ol',
      'x86_64',
      'kernel-3.10.0-1160.119.1.0.7.el7.x86_64',
      'image default 3.10.0-1160.119.1.0.7.el7.x86_64',
    ],
    [
      'ol',
      'x86_64',
      'kernel-core-4.18.0-477.27.1.el8_8.x86_64',
      'image default 4.18.0-477.27.1.el8_8.x86_64',
    ],
    ['amzn', 'x86_64', 'kernel-4.14.355-277.643.amzn2.x86_64', 'image default 4.14.355-277.643.amzn2.x86_64'],
    [
      'amzn',
      'aarch64',
      'kernel6.12-debuginfo-6.12.94-123.176.amzn2023.aarch64',
      'debug default 6.12.94-123.176.amzn2023.aarch64',
    ],
    ['anolis', 'x86_64', 'kernel-4.19.91-25.2.an7.x86_64', 'image default 4.19.91-25.2.an7.x86_64'],
    [
      'anolis',
      'x86_64',
      'kernel-core-4.18.0-305.25.1.an8_4.x86_64',
      'image default 4.18.0-305.25.1.an8_4.x86_64',
    ],
    [
      'anolis',
      'x86_64',
      'kernel-debuginfo-5.10.134-13_rc2.an8.x86_64',
      'debug default 5.10.134-13_rc2.an8.x86_64',
    ],
    [
      'anolis',
      'x86_64',
      'kernel-debug-debuginfo-4.19.91-23.4.an8.x86_64',
      'debug debug 4.19.91-23.4.an8.x86_64+debug',
    ],
    ['anolis', 'aarch64', 'kernel-6.6.102-5.2.an23.aarch64', 'image default 6.6.102-5.2.an23.aarch64'],
    ['alinux', 'x86_64', 'kernel-4.19.24-7.30.cbp.al7.x86_64', 'image default 4.19.24-7.30.cbp.al7.x86_64'],
    [
      'alinux',
      'x86_64',
      'kernel-debuginfo-5.10.134-16.1.al8.x86_64',
      'debug default 5.10.134-16.1.al8.x86_64',
    ],
    [
      'openEuler',
      'aarch64',
      'kernel-5.10.0-136.65.0.145.oe2203sp1.aarch64',
      'image default 5.10.0-136.65.0.145.oe2203sp1.aarch64',
    ],
    // The last number of SUSE's release only counts builds: it is not in `uname -r`.
    [
      'opensuse-leap',
      'x86_64',
      'kernel-default-debuginfo-5.3.18-24.43.2.x86_64',
      'debug default 5.3.18-24.43-default',
    ],
    [
      'opensuse-leap',
      'x86_64',
      'kernel-kvmsmall-4.12.14-lp151.28.91.1.x86_64',
      'image kvmsmall 4.12.14-lp151.28.91-kvmsmall',
    ],
    ['sles', 'aarch64', 'kernel-64kb-5.3.18-150300.59.87.1.aarch64', 'image 64kb 5.3.18-150300.59.87-64kb'],
    ['sles', 'x86_64', 'kernel-azure-4.12.14-6.12.1.x86_64', 'image azure 4.12.14-6.12-azure'],
    ['ubuntu', 'x86_64', 'linux-image-5.4.0-92-generic', 'image generic 5.4.0-92-generic'],
    ['ubuntu', 'x86_64', 'linux-image-unsigned-5.4.0-1059-azure-dbgsym', 'debug azure 5.4.0-1059-azure'],
    ['ubuntu', 'x86_64', 'linux-image-4.4.0-98-generic-dbgsym', 'debug generic 4.4.0-98-generic'],
    ['ubuntu', 'x86_64', 'linux-image-unsigned-5.15.0-1059-aws-fips', 'image aws-fips 5.15.0-1059-aws-fips'],
    [
      'ubuntu',
      'aarch64',
      'linux-image-unsigned-6.8.0-31-generic-64k',
      'image generic-64k 6.8.0-31-generic-64k',
    ],
    ['ubuntu', 'aarch64', 'linux-image-5.4.0-1015-raspi', 'image raspi 5.4.0-1015-raspi'],
    [
      'ubuntu',
      'x86_64',
      'linux-image-5.15.0-1001-nvidia-lowlatency',
      'image nvidia-lowlatency 5.15.0-1001-nvidia-lowlatency',
    ],
    ['debian', 'x86_64', 'linux-modules-7.2.13+deb14-cloud-amd64', 'modules cloud 7.2.13+deb14-cloud-amd64'],
    ['ubuntu', 'x86_64', 'linux-modules-5.4.0-92-generic', 'modules generic 5.4.0-92-generic'],
    ['ubuntu', 'aarch64', 'linux-modules-extra-6.8.0-31-generic', 'modules generic 6.8.0-31-generic'],
    ['ubuntu', 'x86_64', 'linux-image-extra-4.4.0-98-generic', 'modules generic 4.4.0-98-generic'],
    [
      'centos',
      'x86_64',
      'kernel-modules-core-5.14.0-687.el9.x86_64',
      'modules default 5.14.0-687.el9.x86_64',
    ],
    [
      'rocky',
      'x86_64',
      'kernel-modules-extra-4.18.0-553.el8_10.x86_64',
      'modules default 4.18.0-553.el8_10.x86_64',
    ],
    [
      'almalinux',
      'x86_64',
      'kernel-rt-modules-4.18.0-372.96.1.rt7.256.el8_6.x86_64',
      'modules rt 4.18.0-372.96.1.rt7.256.el8_6.x86_64',
    ],
    [
      'rhel',
      'x86_64',
      'kernel-rt-modules-core-5.14.0-427.13.1.el9_4.x86_64',
      'modules rt 5.14.0-427.13.1.el9_4.x86_64+rt',
    ],
    [
      'fedora',
      'aarch64',
      'kernel-debug-modules-extra-6.8.11-300.fc40.aarch64',
      'modules debug 6.8.11-300.fc40.aarch64+debug',
    ],
    [
      'centos',
      'aarch64',
      'kernel-64k-modules-core-6.12.0-39.el10.aarch64',
      'modules 64k 6.12.0-39.el10.aarch64+64k',
    ],
    [
      'ol',
      'x86_64',
      'kernel-uek-modules-5.15.0-202.135.2.el8uek.x86_64',
      'modules uek 5.15.0-202.135.2.el8uek.x86_64',
    ],
    [
      'ol',
      'x86_64',
      'kernel-uek-modules-extra-netfilter-6.12.0-103.40.4.4.el9uek.x86_64',
      'modules uek 6.12.0-103.40.4.4.el9uek.x86_64',
    ],
    [
      'amzn',
      'x86_64',
      'kernel6.12-modules-extra-6.12.94-123.176.amzn2023.x86_64',
      'modules default 6.12.94-123.176.amzn2023.x86_64',
    ],
    [
      'anolis',
      'x86_64',
      'kernel-modules-5.10.134-16.1.an8.x86_64',
      'modules default 5.10.134-16.1.an8.x86_64',
    ],
    [
      'alinux',
      'x86_64',
      'kernel-modules-extra-5.10.134-16.1.al8.x86_64',
      'modules default 5.10.134-16.1.al8.x86_64',
    ],
    [
      'openEuler',
      'x86_64',
      'kernel-extra-modules-6.6.0-72.0.0.76.oe2403sp1.x86_64',
      'modules default 6.6.0-72.0.0.76.oe2403sp1.x86_64',
    ],
    [
      'opensuse-leap',
      'x86_64',
      'kernel-default-optional-6.4.0-150600.23.17.1.x86_64',
      'modules default 6.4.0-150600.23.17-default',
    ],
    [
      'sles',
      'x86_64',
      'cluster-md-kmp-default-5.14.21-150500.55.7.1.x86_64',
      'modules default 5.14.21-150500.55.7-default',
    ],
  ])('%s %s %s', (id, arch, name, expected) => {
    expect(read(id, arch, name)).toBe(expected)
  })

  it.each<[string, Arch, string]>([
    ['centos', 'x86_64', 'kernel-4.18.0-348.7.1.el8_5.x86_64'],
    ['centos', 'x86_64', 'kernel-debuginfo-common-x86_64-3.10.0-957.el7.x86_64'],
    ['centos', 'x86_64', 'kernel-devel-3.10.0-957.el7.x86_64'],
    ['centos', 'x86_64', 'kernel-core-4.18.0-348.el8.aarch64'],
    ['centos', 'x86_64', 'kernel-modules-internal-5.14.0-687.el9.x86_64'],
    ['fedora', 'x86_64', 'kernel-modules-extra-matched-6.8.11-300.fc40.x86_64'],
    ['centos', 'x86_64', 'kernel-tools-debuginfo-4.18.0-147.el8.x86_64'],
    ['centos', 'x86_64', 'kernel-abi-whitelists-3.10.0-957.el7.noarch'],
    ['centos', 'x86_64', 'kernel-core-4.18.0/../x.x86_64'],
    ['ol', 'x86_64', 'kernel-uek-debug-4.14.35-2047.el7uek.x86_64'],
    ['ol', 'x86_64', 'kernel-4.18.0-477.27.1.el8_8.x86_64'],
    ['amzn', 'x86_64', 'kernel-livepatch-4.14.355-277.643.amzn2.x86_64'],
    ['amzn', 'x86_64', 'kernel-tools-4.14.355-277.643.amzn2.x86_64'],
    ['opensuse-leap', 'x86_64', 'kernel-default-base-5.3.18-24.43.2.x86_64'],
    ['opensuse-leap', 'x86_64', 'kernel-default-debugsource-5.3.18-24.43.2.x86_64'],
    ['opensuse-leap', 'x86_64', 'kernel-firmware-20200107-3.1.x86_64'],
    ['ubuntu', 'x86_64', 'linux-image-generic-hwe-20.04'],
    ['ubuntu', 'x86_64', 'linux-image-generic'],
    ['ubuntu', 'x86_64', 'linux-image-extra-4.4.0-98-generic-dbgsym'],
    ['ubuntu', 'x86_64', 'linux-modules-nvidia-535-5.15.0-91-generic'],
    ['ubuntu', 'x86_64', 'linux-modules-iwlwifi-5.15.0-91-generic'],
    ['ubuntu', 'x86_64', 'linux-modules-extra-gcp'],
    ['debian', 'x86_64', 'linux-modules-amd64'],
    ['ubuntu', 'x86_64', 'linux-image-unsigned-5.4.0-92'],
    ['ubuntu', 'x86_64', 'linux-image-5.4.0-92-generic-dbgsym-dbgsym'],
    ['ubuntu', 'x86_64', 'linux-image-unsigned-unsigned-5.4.0-92-generic'],
  ])('%s %s %s is no kernel', (id, arch, name) => {
    expect(read(id, arch, name)).toBeNull()
  })
})

const corpus = resolve(packageRoot, process.env.BTFHUB_CORPUS ?? '../shared/data')

interface TableKernel {
  readonly distrib: string
  readonly version: string
  readonly arch: string
  readonly uname_release: string
}

/** Its image, its debug package, and one that has modules where they are apart, by what is known of its distribution. */
function packagesOf({ distrib, version, uname_release: release }: TableKernel): string[] {
  if (distrib === 'debian') {
    return [`linux-image-${release}`, `linux-image-${release}-dbg`, `linux-modules-${release}`]
  }
  if (distrib === 'ubuntu') {
    return [
      `linux-image-${release}`,
      `linux-image-unsigned-${release}-dbgsym`,
      `linux-modules-extra-${release}`,
    ]
  }
  if (distrib === 'sles' || distrib === 'opensuse-leap') {
    const [, build = '', flavour = ''] = /^(.+)-([a-z0-9]+)$/.exec(release) ?? []
    const named = (what: string, rebuild: number): string =>
      `kernel-${flavour}${what}-${build}.${rebuild}.ARCH`
    return [named('', 1), named('-debuginfo', 7), named('-optional', 1)]
  }
  const name = release.includes('uek') ? 'kernel-uek' : 'kernel'
  const core = ['fedora'].includes(distrib) || (['8'].includes(version) && name === 'kernel') ? '-core' : ''
  // Of el7 and its like all modules are in the image's package.
  const apart = core === '-core' ? [`${name}-modules-${release}`] : []
  return [`${name}${core}-${release}`, `${name}-debuginfo-${release}`, ...apart]
}

describe.skipIf(!existsSync(join(corpus, 'tables')))(
  'every release in the tables (skipped where they are not there)',
  () => {
    it.each(['constants_amd64.json', 'constants_arm64.json'])('%s', (name) => {
      const { kernels } = JSON.parse(readFileSync(join(corpus, 'tables', name), 'utf8')) as {
        kernels: TableKernel[]
      }
      let checked = 0
      let withModules = 0
      for (const kernel of kernels) {
        const { distrib, version, uname_release: release } = kernel
        const arch: Arch = kernel.arch === 'arm64' ? 'aarch64' : 'x86_64'
        expect([...versionsOf(distrib)], `${distrib} ${version}`).toContain(version)
        const [image, debug, modules] = packagesOf(kernel).map((text) =>
          read(distrib, arch, text.replace('ARCH', arch)),
        )
        expect(image?.replace(/ \S+ /, ' '), `${distrib} ${version} ${release}`).toBe(`image ${release}`)
        expect(debug?.replace(/ \S+ /, ' '), `${distrib} ${version} ${release}`).toBe(`debug ${release}`)
        if (modules !== undefined) {
          expect(modules, `${distrib} ${version} ${release}`).toBe(image?.replace('image', 'modules'))
          withModules++
        }
        checked++
      }
      expect(withModules).toBeGreaterThan(700)
      expect(checked).toBe(kernels.length)
      expect(checked).toBeGreaterThan(1000)
    })
  },
)

/** Sources whose packages a saved list names, by its file's name; what is in none of them is not covered. */
const STACKROX: readonly (readonly [RegExp, string])[] = [
  [/^amazon/, 'amzn'],
  [/^centos/, 'centos'],
  [/^rhel/, 'rhel'],
  [/^fedora/, 'fedora'],
  [/^ubuntu-/, 'ubuntu'],
  [/^debian\.txt/, 'debian'],
]

/** The image, and packages with modules, that go with a devel or headers package. */
interface Companions {
  readonly names: readonly string[]
  readonly modules: readonly string[]
  readonly release: string
}

/** Null for packages that belong to no one kernel. */
function imageOf(file: string): Companions | null {
  const rpm = parseRpmFileName(file)
  if (rpm !== null) {
    const build = `${rpm.version}-${rpm.release}.${rpm.arch}`
    const photon = /^linux(-\w+)?-devel$/.exec(rpm.name)
    if (photon !== null) {
      const [, flavour = ''] = photon
      return {
        names: [`linux${flavour}-${build}`],
        modules: [],
        release: `${rpm.version}-${rpm.release}${flavour}`,
      }
    }
    const base = /^(kernel(?:-rt|-uek)?|kernel6\.\d+)-devel$/.exec(rpm.name)?.[1]
    if (base === undefined) return null
    const variant = base === 'kernel-rt' && !/\.rt\d/.test(rpm.release) ? '+rt' : ''
    return {
      names: [`${base}-${build}`, `${base}-core-${build}`],
      modules: [`${base}-modules-${build}`, `${base}-modules-extra-${build}`],
      release: build + variant,
    }
  }
  const release = /^linux-headers-(\d+\.\d+\.\d+\S*?-[a-z][^_]*)_/.exec(file)?.[1]
  return release === undefined || /-common(-rt)?$/.test(release)
    ? null
    : { names: [`linux-image-${release}`], modules: [`linux-modules-${release}`], release }
}

describe.skipIf(!existsSync(join(corpus, 'listings')))(
  'every package in the saved lists (skipped where they are not there)',
  () => {
    it('of stackrox belongs to a kernel that its source knows, and so do modules of its name', () => {
      let checked = 0
      let withModules = 0
      for (const list of readdirSync(join(corpus, 'listings/stackrox'))) {
        const id = STACKROX.find(([pattern]) => pattern.test(list))?.[1]
        if (id === undefined) continue
        for (const line of readFileSync(join(corpus, 'listings/stackrox', list), 'utf8').split('\n')) {
          const image = imageOf(decodeURIComponent(line.split('/').at(-1) ?? ''))
          if (image === null) continue
          const found = image.names.map((name) => read(id, 'x86_64', name)).filter((name) => name !== null)
          expect(
            found.map((name) => name.split(' ').at(-1)),
            `${list}: ${line}`,
          ).toContain(image.release)
          checked++
          const [modules] = image.modules.flatMap((name) => read(id, 'x86_64', name) ?? [])
          if (modules === undefined) continue
          expect(
            found.map((name) => name.replace('image', 'modules')),
            `${list}: ${line}`,
          ).toContain(modules)
          withModules++
        }
      }
      expect(checked).toBeGreaterThan(3400)
      expect(withModules).toBeGreaterThan(2500)
    })

    it('of sysak, which are releases of Anolis, Alibaba Cloud Linux and CentOS, has a package', () => {
      const names = readFileSync(join(corpus, 'listings/sysak-rpm-vmlinux-btf-names.txt'), 'utf8')
      const releases = names.split('\n').flatMap((line) => /^vmlinux-(\S+)$/.exec(line)?.[1] ?? [])
      expect(releases.length).toBeGreaterThan(20)
      for (const release of releases) {
        const id = /\.an\d/.test(release) ? 'anolis' : /\.al[78]/.test(release) ? 'alinux' : 'centos'
        const arch = release.endsWith('.aarch64') ? 'aarch64' : 'x86_64'
        expect(read(id, arch, `kernel-debuginfo-${release}`), release).toBe(`debug default ${release}`)
      }
    })

    it('of ddebs and of Launchpad is a debug package of its release', () => {
      const stanzas = readFileSync(join(corpus, 'listings/ddebs-ubuntu-Packages-2stanzas.txt'), 'utf8')
      const sample = readFileSync(join(corpus, 'listings/launchpad-binarypub-sample.json'), 'utf8')
      const { binary_package_name: remembered } = JSON.parse(sample) as { binary_package_name: string }
      const packages = [
        ...[...stanzas.matchAll(/^Package: (\S+)$/gm)].map(([, name = '']) => name),
        remembered,
      ]
      expect(packages).toHaveLength(3)
      for (const name of packages) {
        const release = /(\d+\.\d+\.\d+-\d+-\w+)-dbgsym$/.exec(name)?.[1] ?? ''
        expect(read('ubuntu', 'x86_64', name), name).toBe(`debug ${release.split('-').at(-1)} ${release}`)
      }
    })

    it('of falco is the release that falco took it for', () => {
      const path = join(corpus, 'listings/falco-kernel-crawler')
      const [list = ''] = readdirSync(path)
      const all = JSON.parse(readFileSync(join(path, list), 'utf8')) as Record<
        string,
        { kernelrelease: string; headers?: string[] }[]
      >
      const ids: Record<string, string> = {
        AmazonLinux: 'amzn',
        AmazonLinux2: 'amzn',
        AmazonLinux2022: 'amzn',
        CentOS: 'centos',
        Fedora: 'fedora',
        Oracle7: 'ol',
        Oracle8: 'ol',
        PhotonOS: 'photon',
        Ubuntu: 'ubuntu',
      }
      let checked = 0
      for (const [distro, id] of Object.entries(ids)) {
        for (const { kernelrelease, headers = [] } of all[distro] ?? []) {
          // CentOS 5 and 6 are not covered: no eBPF.
          if (/^2\.6\./.test(kernelrelease)) continue
          const images = headers.map((url) => imageOf(decodeURIComponent(url.split('/').at(-1) ?? '')))
          const names = images.flatMap((image) => image?.names ?? [])
          if (names.length === 0) continue
          const found = names.map((name) => read(id, 'x86_64', name)?.split(' ').at(-1))
          // Falco makes Ubuntu's from the source's name (5.4.0-128-hwe-5.4): only the number is the kernel's.
          // Photon's have no architecture in them.
          const known = (text: string): string =>
            id === 'ubuntu'
              ? (/^[\d.]+-\d+/.exec(text)?.[0] ?? '')
              : text.replace(id === 'photon' ? /\.x86_64$/ : '', '')
          expect(
            found.map((release) => known(release ?? '')),
            `${distro} ${kernelrelease}`,
          ).toContain(known(kernelrelease))
          checked++
        }
      }
      expect(checked).toBeGreaterThan(3000)
    })
  },
)
