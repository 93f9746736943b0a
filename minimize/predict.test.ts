import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type KnownKernel, neighboursOf, type WantedKernel } from './predict.ts'

interface Sample extends Partial<WantedKernel> {
  readonly flavour?: string
  readonly series?: string
}

const SYSTEM = { distro: 'debian', version: '12', arch: 'x86_64' }

function known(release: string, other: Sample = {}): KnownKernel {
  const { flavour = 'cloud', series = 'debian/12/6.1', ...kernel } = other
  return { kernel: { ...SYSTEM, release, ...kernel }, flavour, series }
}

function releases(wanted: string, kernels: readonly KnownKernel[]): unknown {
  const found = neighboursOf({ ...SYSTEM, release: wanted }, kernels)
  return (
    found && [
      found.before.map(({ kernel }) => kernel.release),
      found.after.map((each) => each.kernel.release),
    ]
  )
}

describe('the neighbours of a kernel that is not there', () => {
  it('are the next older and the next newer one, with all their builds', () => {
    const kernels = ['6.1.0-9', '6.1.0-11', '6.1.0-11', '6.1.0-13', '6.1.0-20'].map((each) => known(each))
    expect(releases('6.1.0-12', kernels)).toEqual([['6.1.0-11', '6.1.0-11'], ['6.1.0-13']])
  })

  it('may be written otherwise than the kernel itself, as point updates are', () => {
    const kernels = ['3.10.0-1160.el7', '3.10.0-1160.2.1.el7', '3.10.0-1160.11.1.el7'].map((each) =>
      known(each),
    )
    expect(releases('3.10.0-1160.1.1.el7', kernels)).toEqual([['3.10.0-1160.el7'], ['3.10.0-1160.2.1.el7']])
  })

  it('are of the flavour that its release is written like', () => {
    const kernels = [
      ...['6.1.0-11-amd64', '6.1.0-13-amd64'].map((each) => known(each, { flavour: 'default' })),
      ...['6.1.0-10-cloud-amd64', '6.1.0-14-cloud-amd64'].map((each) => known(each)),
    ]
    expect(releases('6.1.0-12-cloud-amd64', kernels)).toEqual([
      ['6.1.0-10-cloud-amd64'],
      ['6.1.0-14-cloud-amd64'],
    ])
    expect(releases('6.1.0-12-rt-amd64', kernels)).toBeNull()
  })

  it.each<[string, readonly KnownKernel[]]>([
    ['nothing is older', [known('6.1.0-13'), known('6.1.0-14')]],
    ['nothing is newer', [known('6.1.0-9'), known('6.1.0-11')]],
    ['there is nothing', []],
    ['the kernel itself is known', [known('6.1.0-11'), known('6.1.0-12'), known('6.1.0-13')]],
    ['one is of another flavour', [known('6.1.0-11', { flavour: 'rt' }), known('6.1.0-13')]],
    ['one is of another series', [known('6.1.0-11', { series: 'debian/12/6.0' }), known('6.1.0-13')]],
    ['one is of another version', [known('6.1.0-11', { version: '11' }), known('6.1.0-13')]],
    ['one is of another architecture', [known('6.1.0-11', { arch: 'aarch64' }), known('6.1.0-13')]],
    ['one is of another distribution', [known('6.1.0-11', { distro: 'ubuntu' }), known('6.1.0-13')]],
    ['all that are written alike are of another mainline', [known('6.0.0-11'), known('6.2.0-13')]],
    [
      'flavours are written alike, so that its own is not known',
      [known('6.1.0-11'), known('6.1.0-13'), known('6.1.0-14', { flavour: 'rt' })],
    ],
  ])('are not told where %s', (_, kernels) => {
    expect(releases('6.1.0-12', kernels)).toBeNull()
  })

  it('are what sorting would find, whatever the order of what is known', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(30)), fc.nat(30), (numbers, at) => {
        const kernels = numbers.map((number) => known(`6.1.0-${number}`))
        const found = releases(`6.1.0-${at}`, kernels)
        expect(releases(`6.1.0-${at}`, [...kernels].reverse())).toEqual(found)
        const before = Math.max(...numbers.filter((number) => number < at))
        const after = Math.min(...numbers.filter((number) => number > at))
        const isBetween = !numbers.includes(at) && Number.isFinite(before) && Number.isFinite(after)
        expect(found).toEqual(isBetween ? [[`6.1.0-${before}`], [`6.1.0-${after}`]] : null)
      }),
    )
  })
})
