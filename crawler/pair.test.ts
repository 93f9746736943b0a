import { describe, expect, it } from 'vitest'
import type { Sha256 } from '../core/digest.ts'
import type { PackageFile } from '../core/kernel-package.ts'
import { silentLog } from '../core/log.ts'
import { type FoundPackage, pairPackages, withKernel } from './pair.ts'

const digest = (character: string): Sha256 => character.repeat(64) as Sha256

function found(suffix: string, file: Partial<PackageFile> = {}, version = '12'): FoundPackage {
  return {
    name: {
      role: suffix === '-dbg' ? 'debug' : suffix.startsWith('-modules') ? 'modules' : 'image',
      release: '6.1.0-50-amd64',
      flavour: 'default',
      series: '6.1',
    },
    version,
    arch: 'x86_64',
    packageName: 'linux-image-6.1.0-50-amd64',
    file: {
      name: `linux-image-6.1.0-50-amd64${suffix}`,
      version: '6.1.170-3',
      urls: ['http://a/1'],
      sizeBytes: 10,
      sha256: digest('a'),
      signed: true,
      ...file,
    },
  }
}

const pair = (...all: readonly FoundPackage[]): ReturnType<typeof pairPackages> =>
  pairPackages('debian', 'debian', all, silentLog)

describe('pairPackages', () => {
  it('keeps package versions, and versions of the distribution, apart', () => {
    expect(pair(found(''), found('', { version: '6.1.170-4' }), found('', {}, '11'))).toHaveLength(3)
  })

  it('knows a build by one name, whichever of its packages are there', () => {
    for (const suffix of ['', '-unsigned', '-dbg']) {
      expect(pair(found(suffix))).toMatchObject([{ packageName: 'linux-image-6.1.0-50-amd64' }])
    }
    expect(pair(found('-dbg'))).toMatchObject([{ images: [] }])
    expect(pair(found(''))).toMatchObject([{ debugs: [] }])
  })

  it('has all packages with modules, which alone are no build', () => {
    const modules = found('-modules', { sizeBytes: 20 })
    const extra = found('-modules-extra', { sizeBytes: 5 })
    const [build] = pair(found(''), modules, extra, {
      ...modules,
      file: { ...modules.file, urls: ['http://b/1'] },
    })
    expect(build?.images).toHaveLength(1)
    expect(build?.modules?.map(({ name, urls }) => [name.split('-amd64').at(-1), urls.length])).toEqual([
      ['-modules', 2],
      ['-modules-extra', 1],
    ])
    expect(pair(found(''))[0]).not.toHaveProperty('modules')
    expect(pair(modules, extra)).toEqual([])
    expect(pair(found('-dbg'), extra)).toMatchObject([{ images: [], modules: [extra.file] }])
  })

  it('puts twins in order: what can be checked before what cannot, the smaller first', () => {
    const names = (...all: readonly FoundPackage[]): (string | undefined)[] =>
      pair(...all)[0]?.images.map(({ name }) => name.replace('linux-image-6.1.0-50-amd64', '')) ?? []
    expect(names(found(''), found('-unsigned', { sizeBytes: 5 }))).toEqual(['-unsigned', ''])
    expect(names(found(''), found('-unsigned', { sizeBytes: 5, sha256: null }))).toEqual(['', '-unsigned'])
    expect(names(found('', { sizeBytes: null }), found('-unsigned'))).toEqual(['-unsigned', ''])
    expect(names(found('-unsigned'), found(''))).toEqual(['', '-unsigned'])
  })

  it('gathers the URLs of one file, each once, and never those of another', () => {
    const [build] = pair(
      found('', { urls: ['http://a/1', 'http://b/1'] }),
      found('', { urls: ['http://b/1', 'http://c/1'] }),
      found('', { urls: ['http://evil/1'], sha256: digest('b') }),
      found('', { urls: ['http://evil/2'], sizeBytes: 11 }),
    )
    expect(build?.images[0]?.urls).toEqual(['http://a/1', 'http://b/1', 'http://c/1'])
  })

  it('keeps what is known best of a file: a signed digest, then any', () => {
    const known = { urls: ['http://signed/1'] }
    const digestOnly = { urls: ['http://digest/1'], signed: false }
    const nothing = { urls: ['http://none/1'], sha256: null, sizeBytes: null, signed: false }
    for (const [one, other] of [
      [known, digestOnly],
      [known, nothing],
      [digestOnly, nothing],
    ] as const) {
      const signed = one === known
      const urls = [one.urls[0], other.urls[0]]
      for (const files of [
        [one, other],
        [other, one],
      ]) {
        const [build] = pair(...files.map((file) => found('', file)), found('-dbg', nothing))
        expect(build?.images).toMatchObject([{ signed, urls, sha256: digest('a'), sizeBytes: 10 }])
        expect(build?.debugs).toMatchObject([{ signed: false, sha256: null }])
      }
    }
  })
})

describe('withKernel', () => {
  const least = { image: 10, debug: 100 }
  it.each<[string, FoundPackage, boolean]>([
    ['an image of the least size', found('', { sizeBytes: 10 }), true],
    [
      'an image below it: empty, it depends on the one that has the kernel',
      found('', { sizeBytes: 9 }),
      false,
    ],
    ['an image of unknown size', found('', { sizeBytes: null }), true],
    ['a debug package of the least size', found('-dbg', { sizeBytes: 100 }), true],
    ['a debug package that only an image could be as small as', found('-dbg', { sizeBytes: 99 }), false],
  ])('%s', (_what, one, kept) => {
    expect(withKernel([one], least)).toEqual(kept ? [one] : [])
  })
})
