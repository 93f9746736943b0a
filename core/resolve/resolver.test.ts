import { describe, expect, it } from 'vitest'
import type { Build } from '../../store/types.ts'
import { sampleBuild, type SampleBuild } from '../../test/helpers/store.ts'
import { type Asked, readFacts } from './facts.ts'
import { KernelIndex } from './kernel-index.ts'
import { type Resolution, resolve } from './resolver.ts'

function indexOf(...samples: SampleBuild[]): KernelIndex<Build> {
  return new KernelIndex(samples.map((sample, i): Build => ({ ...sampleBuild(sample), id: i + 1 })))
}

function ask(index: KernelIndex<Build>, asked: Asked): Resolution<Build> {
  return resolve(index, readFacts(asked))
}

/** `found distro/version/arch by match`, or the kind. */
function told(resolution: Resolution<Build>): string {
  if (resolution.kind === 'found') {
    const { distro, version, arch } = resolution.build.kernel
    return `${distro}/${version}/${arch} by ${resolution.match}`
  }
  return resolution.kind
}

const idOf = (n: number): string => String(n).repeat(40).slice(0, 40)
const banner = (release: string, rest = 'a'): string => `Linux version ${release} (b@${rest}) (gcc) #1 SMP`

const focal = { distro: 'ubuntu', version: '20.04', arch: 'aarch64', release: '5.4.0-80-generic' } as const
const bionic = { ...focal, version: '18.04' } as const
const el8 = { distro: 'centos', version: '8', arch: 'x86_64', release: '4.18.0-305.el8.x86_64' } as const

const hub = indexOf(
  { kernel: bionic, layout: 'hwe', provenance: { buildId: idOf(1), banner: banner(bionic.release, 'hwe') } },
  { kernel: focal, layout: 'ga', provenance: { buildId: idOf(2), banner: banner(focal.release, 'ga') } },
  { kernel: el8, layout: 'el8', provenance: { buildId: null, banner: null } },
  {
    kernel: { distro: 'debian', version: '12', release: '6.12.9+deb12-amd64' },
    provenance: { buildId: idOf(3) },
  },
  {
    kernel: { distro: 'amzn', version: '2018', release: '4.14.1-1.amzn1.x86_64' },
    provenance: { buildId: null },
  },
)

describe('resolving by name', () => {
  it.each<[string, Asked, string]>([
    ['release alone, one kernel', { release: el8.release }, 'centos/8/x86_64 by release'],
    ['all four', { ...el8 }, 'centos/8/x86_64 by release'],
    ['a point release', { ...el8, version: '8.4' }, 'centos/8/x86_64 by release'],
    [
      'a version without its distribution',
      { release: el8.release, version: '8.4' },
      'centos/8/x86_64 by release',
    ],
    ['quotes of os-release', { ...el8, distro: '"centos"', version: '"8"' }, 'centos/8/x86_64 by release'],
    ['architecture by its other name', { ...focal, arch: 'arm64' }, 'ubuntu/20.04/aarch64 by release'],
    ['code name', { ...focal, version: 'focal' }, 'ubuntu/20.04/aarch64 by release'],
    [
      'distribution alias',
      { release: '4.14.1-1.amzn1.x86_64', distro: 'amazon', version: '2018.03' },
      'amzn/2018/x86_64 by release',
    ],
    ['a + that became a blank', { release: '6.12.9 deb12-amd64' }, 'debian/12/x86_64 by release'],
    ['blank and NUL at the end', { release: `${el8.release}\u0000\n` }, 'centos/8/x86_64 by release'],
    [
      'os-release text',
      { release: focal.release, os_release: 'ID=ubuntu\nVERSION_ID="20.04"' },
      'ubuntu/20.04/aarch64 by release',
    ],
    ['one release of two kernels', { release: focal.release }, 'ambiguous'],
    ['the same with the distribution only', { release: focal.release, distro: 'ubuntu' }, 'ambiguous'],
    ['another version', { ...focal, version: '22.04' }, 'not-found'],
    ['another architecture', { ...focal, arch: 'x86_64' }, 'not-found'],
    ['a release that is part of one', { release: '5.4.0-80' }, 'not-found'],
    ['nothing', {}, 'unasked'],
    ['a distribution alone', { distro: 'debian' }, 'unasked'],
  ])('%s', (_, asked, expected) => {
    expect(told(ask(hub, asked))).toBe(expected)
  })

  it('lists the kernels of the same release, and else those with similar names', () => {
    const other = ask(hub, { ...focal, version: '22.04' })
    expect(other.kind === 'not-found' && other.nearest.map((k) => k.version)).toEqual(['20.04', '18.04'])
    const similar = ask(hub, { release: '5.4.0-81-generic' })
    expect(similar.kind === 'not-found' && similar.nearest[0]?.release).toBe('5.4.0-80-generic')
    const nothing = ask(hub, { release: 'zzz' })
    expect(nothing.kind === 'not-found' && nothing.nearest).toEqual([])
  })
})

describe('resolving by what names one build', () => {
  it.each<[string, Asked, string]>([
    ['build-id', { build_id: idOf(2) }, 'ubuntu/20.04/aarch64 by build-id'],
    ['build-id in capitals', { build_id: '3'.repeat(40).toUpperCase() }, 'debian/12/x86_64 by build-id'],
    [
      'build-id and release',
      { build_id: idOf(1), release: focal.release },
      'ubuntu/18.04/aarch64 by build-id',
    ],
    [
      'build-id in a container of another system',
      { build_id: idOf(1), distro: 'alpine', version: '3.20' },
      'ubuntu/18.04/aarch64 by build-id',
    ],
    [
      'banner with its newline',
      { banner: `${banner(focal.release, 'ga')}\n` },
      'ubuntu/20.04/aarch64 by banner',
    ],
    [
      'banner of an unknown build of a kernel without banner',
      { banner: banner(el8.release, 'x') },
      'centos/8/x86_64 by release',
    ],
    [
      'unknown build-id of a kernel without build-id',
      { build_id: idOf(9), release: el8.release },
      'centos/8/x86_64 by release',
    ],
    ['unknown build-id of a kernel whose builds have others', { ...focal, build_id: idOf(9) }, 'not-found'],
    [
      'unknown banner of a kernel whose builds have others',
      { ...focal, banner: banner(focal.release, 'x') },
      'not-found',
    ],
    ['unknown build-id alone', { build_id: idOf(9) }, 'not-found'],
    [
      'build-id of one kernel, release of another',
      { build_id: idOf(1), release: el8.release },
      'contradiction',
    ],
    ['build-id of one architecture, another asked', { build_id: idOf(1), arch: 'x86_64' }, 'contradiction'],
    [
      'build-id of one build, banner of another',
      { build_id: idOf(1), banner: banner(focal.release, 'ga') },
      'contradiction',
    ],
    [
      'banner of one build, build-id of none',
      { build_id: idOf(9), banner: banner(focal.release, 'ga') },
      'not-found',
    ],
  ])('%s', (_, asked, expected) => {
    expect(told(ask(hub, asked))).toBe(expected)
  })

  it('takes the assumed architecture for no fact', () => {
    const facts = readFacts({ build_id: idOf(1) }, { arch: 'x86_64' })
    expect(told(resolve(hub, facts))).toBe('ubuntu/18.04/aarch64 by build-id')
    expect(told(resolve(hub, readFacts({ release: focal.release }, { arch: 'x86_64' })))).toBe('not-found')
  })
})

describe('several builds', () => {
  it('gives the newest of builds with one layout, whatever their bytes', () => {
    const index = indexOf(
      { layout: 'same', key: 'old', btf: new Uint8Array([1]) },
      { layout: 'same', key: 'new', btf: new Uint8Array([2]) },
    )
    const found = ask(index, { release: '6.1.0-47-amd64' })
    expect(found).toMatchObject({ kind: 'found', build: { key: 'new' } })
  })

  it('offers the newest of each layout where they differ', () => {
    const index = indexOf({ layout: 'a', key: '1' }, { layout: 'b', key: '2' }, { layout: 'a', key: '3' })
    const several = ask(index, { release: '6.1.0-47-amd64' })
    expect(several.kind === 'ambiguous' && several.builds.map((b) => b.key)).toEqual(['3', '2'])
  })
})

describe('clones', () => {
  const rhel = { ...el8, distro: 'rhel' }

  it.each<[string, Asked, string]>([
    ['not unless asked for', rhel, 'not-found'],
    ['marked where asked for', { ...rhel, like: true }, 'centos/8/x86_64 by like'],
    ['the real one first', { ...el8, like: true }, 'centos/8/x86_64 by release'],
    [
      'what os-release says it is like',
      { release: el8.release, os_release: 'ID=mine\nVERSION_ID=1\nID_LIKE="rhel centos"', like: true },
      'centos/8/x86_64 by like',
    ],
    ['not what it is not like', { ...el8, distro: 'debian', like: true }, 'not-found'],
    [
      'never another build than the one asked for',
      { ...focal, distro: 'mint', os_release: 'ID=mint\nID_LIKE=ubuntu', like: true, build_id: idOf(9) },
      'not-found',
    ],
    [
      'the version that the code name tells',
      {
        ...focal,
        distro: 'mint',
        version: '20',
        os_release: 'ID=mint\nID_LIKE=ubuntu\nUBUNTU_CODENAME=focal',
        like: true,
      },
      'ubuntu/20.04/aarch64 by like',
    ],
    [
      'ambiguous without it',
      { ...focal, distro: 'mint', version: '20', os_release: 'ID=mint\nID_LIKE=ubuntu', like: true },
      'ambiguous',
    ],
  ])('%s', (_, asked, expected) => {
    expect(told(ask(hub, asked))).toBe(expected)
  })
})

describe('what cannot be asked', () => {
  it.each<[string, Asked, string]>([
    ['a path for a release', { release: '../../etc/passwd' }, 'BAD_REQUEST'],
    ['NUL in a release', { release: 'a\u0000b' }, 'BAD_REQUEST'],
    ['an empty release', { release: '' }, 'BAD_REQUEST'],
    ['an architecture that nobody builds for', { release: 'a', arch: 'pdp11' }, 'BAD_REQUEST'],
    ['a build-id that is none', { build_id: 'xyz' }, 'BAD_REQUEST'],
    ['a build-id of 3 bytes', { build_id: 'abcdef' }, 'BAD_REQUEST'],
    ['a banner that is none', { banner: 'Darwin Kernel Version' }, 'BAD_REQUEST'],
    ['a distribution with a slash', { release: 'a', distro: 'a/b' }, 'BAD_REQUEST'],
    ['a version with a slash', { release: 'a', version: '../1' }, 'BAD_REQUEST'],
    ['os-release with a path for an ID', { release: 'a', os_release: 'ID=../x' }, 'BAD_REQUEST'],
    ['release and banner of two kernels', { release: 'a', banner: banner('b') }, 'CONTRADICTION'],
    [
      'distribution and os-release of two systems',
      { release: 'a', distro: 'debian', os_release: 'ID=ubuntu' },
      'CONTRADICTION',
    ],
  ])('%s', (_, asked, code) => {
    expect(() => readFacts(asked)).toThrow(expect.objectContaining({ code }) as Error)
  })
})

describe('pages', () => {
  it('go on behind the last key, also where that kernel is gone', () => {
    const keys = [...hub.after(null)].map((entry) => entry.key)
    expect(keys).toEqual([...keys].sort())
    expect([...hub.after(keys[1] as string)].map((e) => e.key)).toEqual(keys.slice(2))
    expect([...hub.after(`${keys[1]}~`)].map((e) => e.key)).toEqual(keys.slice(2))
    expect([...hub.after('zzz')]).toEqual([])
  })
})
