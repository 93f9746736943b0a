import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../core/version.ts'
import { parseSource } from './load-sources.ts'
import { kernelNames } from './names.ts'

const file = parseSource('debian.yaml', readFileSync(join(packageRoot, 'data/sources/debian.yaml'), 'utf8'))
const [only] = file.indexes
if (only?.format !== 'apt') throw new Error('expected an apt index')
const index = only
const rules = index.names
const amd64 = kernelNames(rules, 'amd64')
const arm64 = kernelNames(rules, 'arm64')

describe('names of Debian kernel packages', () => {
  it.each([
    ['linux-image-6.1.0-50-amd64', 'image', '6.1.0-50-amd64', 'default', '6.1'],
    ['linux-image-6.1.0-50-amd64-unsigned', 'image', '6.1.0-50-amd64', 'default', '6.1'],
    ['linux-image-6.1.0-50-amd64-dbg', 'debug', '6.1.0-50-amd64', 'default', '6.1'],
    ['linux-image-6.1.0-50-cloud-amd64-dbg', 'debug', '6.1.0-50-cloud-amd64', 'cloud', '6.1'],
    ['linux-image-6.1.0-0.deb11.48-amd64', 'image', '6.1.0-0.deb11.48-amd64', 'default', '6.1'],
    ['linux-image-6.12.107+deb13-cloud-amd64', 'image', '6.12.107+deb13-cloud-amd64', 'cloud', '6.12'],
    ['linux-image-6.12.90+deb12.1-amd64', 'image', '6.12.90+deb12.1-amd64', 'default', '6.12'],
    ['linux-image-7.1.3+deb13-rt-amd64', 'image', '7.1.3+deb13-rt-amd64', 'rt', '7.1'],
    ['linux-image-6.19.6+deb14-amd64', 'image', '6.19.6+deb14-amd64', 'default', '6.19'],
    ['linux-binary-6.19.6+deb14-amd64', 'image', '6.19.6+deb14-amd64', 'default', '6.19'],
    ['linux-binary-unsigned-6.19.6+deb14-cloud-amd64', 'image', '6.19.6+deb14-cloud-amd64', 'cloud', '6.19'],
    ['linux-image-6.12.9+bpo-amd64', 'image', '6.12.9+bpo-amd64', 'default', '6.12'],
    ['linux-image-6.12.9-amd64', 'image', '6.12.9-amd64', 'default', '6.12'],
    ['linux-image-4.19.0-0.bpo.19-amd64', 'image', '4.19.0-0.bpo.19-amd64', 'default', '4.19'],
    ['linux-image-4.9.0-19-amd64', 'image', '4.9.0-19-amd64', 'default', '4.9'],
  ])('%s is the %s of %s', (name, role, release, flavour, series) => {
    expect(amd64.parse(name)).toEqual({ role, release, flavour, series })
    expect(amd64.packageName(release)).toBe(`linux-image-${release}`)
  })

  it.each([
    ['linux-image-6.12.107+deb13-arm64-16k', 'image', '6.12.107+deb13-arm64-16k', '16k'],
    ['linux-image-6.12.107+deb13-arm64-16k-dbg', 'debug', '6.12.107+deb13-arm64-16k', '16k'],
    ['linux-image-6.12.107+deb13-arm64-16k-unsigned', 'image', '6.12.107+deb13-arm64-16k', '16k'],
    ['linux-image-6.12.107+deb13-cloud-arm64', 'image', '6.12.107+deb13-cloud-arm64', 'cloud'],
  ])('%s is the %s of %s', (name, role, release, flavour) => {
    expect(arm64.parse(name)).toEqual({ role, release, flavour, series: '6.12' })
  })

  it.each([
    'linux-image-amd64',
    'linux-image-amd64-dbg',
    'linux-image-6.1-amd64',
    'linux-image-6.1-amd64-dbg',
    'linux-image-6.12-cloud-amd64',
    'linux-image-amd64-signed-template',
    'linux-image-6.12-amd64-signed-template',
    'linux-image-6.1.0-50-arm64',
    'linux-image-6.1.0-50-amd64-dbgsym',
    'linux-headers-6.1.0-50-amd64',
    'linux-binary-amd64',
    'linux-binary-6.19.6+deb14-amd64-unsigned',
    'linux-binary-signed-6.19.6+deb14-amd64',
    'linux-base-6.19.6+deb14-amd64',
    'linux-image-',
    'linux-image--dbg',
    'linux-image-6.1.0-50-amd64 ',
    'linux-image-6.1.0/../amd64',
    'xlinux-image-6.1.0-50-amd64',
  ])('%s is no kernel of amd64', (name) => {
    expect(amd64.parse(name)).toBeNull()
  })

  it('have a needle by which an index is searched', () => {
    expect(amd64.needle).toBe('linux-')
  })
})

const listings = resolve(
  packageRoot,
  process.env.BTFHUB_CORPUS ?? '../shared/data',
  'listings/debian-packages-index',
)
const files = ((): string[] => {
  try {
    return readdirSync(listings)
  } catch {
    return []
  }
})()

describe.skipIf(files.length === 0)(
  'every name in the saved indexes (skipped where they are not there)',
  () => {
    it('is a kernel or one of the known other things', () => {
      const seen = { kernels: 0, others: 0 }
      for (const name of files) {
        const arch = name.includes('binary-amd64') ? 'amd64' : 'arm64'
        const names = arch === 'amd64' ? amd64 : arm64
        for (const [, pkg = ''] of readFileSync(join(listings, name), 'utf8').matchAll(
          /^Package: (\S+)$/gm,
        )) {
          const kernel = names.parse(pkg)
          // What is left out is told apart by other means than the rules: by the lack of a third number.
          const meta = !/^linux-image-\d+\.\d+\.\d/.test(pkg)
          expect(kernel === null, pkg).toBe(meta)
          if (kernel === null) {
            expect(pkg).toMatch(
              new RegExp(`^linux-image-(\\d+\\.\\d+-)?(cloud-|rt-)?${arch}(-16k)?(-dbg|-signed-template)?$`),
            )
            seen.others++
            continue
          }
          expect(['default', 'cloud', 'rt', '16k']).toContain(kernel.flavour)
          const { release, role } = kernel
          const images = [`linux-image-${release}`, `linux-image-${release}-unsigned`]
          expect(role === 'debug' ? [`linux-image-${release}-dbg`] : images).toContain(pkg)
          seen.kernels++
        }
      }
      expect(seen.kernels).toBeGreaterThan(500)
      expect(seen.others).toBeGreaterThan(50)
    })
  },
)
