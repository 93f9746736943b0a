import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareDebianVersions } from './version.ts'

describe('compareDebianVersions', () => {
  // deb-version(5): the tilde example; the rest are rules of its section "Sorting algorithm".
  it.each([
    [['~~', '~~a', '~', '', 'a']],
    [['1.0~beta1~svn1245', '1.0~beta1', '1.0']],
    [['1.0', '1.0-1', '1.0-1.1', '1.0-2', '1.0+b1-1', '1.0.1', '1:0.5', '2:0']],
    [['6.1.170-3~deb11u1', '6.1.170-3', '6.1.170-10', '6.12.9-1~bpo12+1', '6.12.9-1', '6.12.10-1']],
    [['1.2a', '1.2b', '1.2+', '1.2.']],
    [['0', '00001', '2', '010', '99999999999999999998', '99999999999999999999']],
  ])('sorts %j as they stand', (sorted) => {
    for (const [i, a] of sorted.entries()) {
      for (const [j, b] of sorted.entries()) {
        expect(Math.sign(compareDebianVersions(a, b)), `${a} with ${b}`).toBe(Math.sign(i - j))
      }
    }
  })

  it.each([
    ['0:1.0-1', '1.0-1'],
    ['1.0', '1.0-0'],
    ['1.0', '1.00'],
    ['1.0-', '1.0'],
  ])('takes %s and %s for the same', (a, b) => {
    expect(compareDebianVersions(a, b)).toBe(0)
  })

  it.skipIf(spawnSync('dpkg', ['--version']).status !== 0)(
    'agrees with dpkg (skipped where there is none)',
    () => {
      const version = fc.stringMatching(/^(?:[0-2]:)?[0-9][0-9a-b.+~]{0,5}(?:-[0-9a-b.+~]{1,4})?$/)
      const property = fc.property(version, version, (a, b) => {
        const ours = Math.sign(compareDebianVersions(a, b))
        const relation = ours < 0 ? 'lt' : ours > 0 ? 'gt' : 'eq'
        return spawnSync('dpkg', ['--compare-versions', a, relation, b]).status === 0
      })
      fc.assert(property, { numRuns: 200 })
    },
  )
})
