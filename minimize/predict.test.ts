import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type KnownMin, predictNeighbours, type WantedKernel } from './predict.ts'

const FAMILY = { distro: 'debian', version: '12', arch: 'x86_64', flavour: 'cloud', series: '6.1' }

function known(release: string, digest: string, other: Partial<WantedKernel> = {}): KnownMin<string> {
  return { ...FAMILY, release, digest, min: digest, ...other }
}

const wanted = { ...FAMILY, release: '6.1.0-12' }

describe('a prediction', () => {
  it('is what both neighbours have', () => {
    const kernels = [
      known('6.1.0-9', 'a'),
      known('6.1.0-11', 'b'),
      known('6.1.0-13', 'b'),
      known('6.1.0-20', 'c'),
    ]
    expect(predictNeighbours(wanted, kernels)).toEqual({
      predicted: true,
      min: 'b',
      from: [kernels[1], kernels[2]],
    })
  })

  it.each([
    ['the neighbours differ', [known('6.1.0-11', 'a'), known('6.1.0-13', 'b')]],
    ['nothing is older', [known('6.1.0-13', 'a'), known('6.1.0-14', 'a')]],
    ['nothing is newer', [known('6.1.0-9', 'a'), known('6.1.0-11', 'a')]],
    ['there is nothing', []],
    ['the kernel itself is known', [known('6.1.0-11', 'a'), known('6.1.0-12', 'a'), known('6.1.0-13', 'a')]],
    [
      'builds of one neighbour differ',
      [known('6.1.0-11', 'a'), known('6.1.0-11', 'b'), known('6.1.0-13', 'a')],
    ],
    [
      'one neighbour is of another flavour',
      [known('6.1.0-11', 'a', { flavour: 'rt' }), known('6.1.0-13', 'a')],
    ],
    [
      'one neighbour is of another series',
      [known('6.1.0-11', 'a', { series: '6.0' }), known('6.1.0-13', 'a')],
    ],
    [
      'one neighbour is of another version',
      [known('6.1.0-11', 'a', { version: '11' }), known('6.1.0-13', 'a')],
    ],
    [
      'one neighbour is of another architecture',
      [known('6.1.0-11', 'a', { arch: 'aarch64' }), known('6.1.0-13', 'a')],
    ],
    [
      'one neighbour is of another distribution',
      [known('6.1.0-11', 'a', { distro: 'ubuntu' }), known('6.1.0-13', 'a')],
    ],
  ])('is not made where %s', (_, kernels) => {
    expect(predictNeighbours(wanted, kernels)).toBeNull()
  })

  it('does not depend on the order of what is known', () => {
    const kernels = fc.uniqueArray(fc.record({ number: fc.nat(30), digest: fc.constantFrom('a', 'b') }), {
      selector: ({ number }) => number,
    })
    fc.assert(
      fc.property(kernels, fc.nat(30), (given, at) => {
        const list = given.map(({ number, digest }) => known(`6.1.0-${number}`, digest))
        const asked = { ...FAMILY, release: `6.1.0-${at}` }
        const first = predictNeighbours(asked, list)
        expect(predictNeighbours(asked, [...list].reverse())).toEqual(first)
        const before = given.filter(({ number }) => number < at).sort((a, b) => b.number - a.number)[0]
        const after = given.filter(({ number }) => number > at).sort((a, b) => a.number - b.number)[0]
        const isKnown = given.some(({ number }) => number === at)
        const agrees = !isKnown && before !== undefined && before.digest === after?.digest
        expect(first?.min ?? null).toBe(agrees ? before.digest : null)
      }),
    )
  })
})
