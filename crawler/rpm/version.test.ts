import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareRpmVersions } from './version.ts'

describe('compareRpmVersions', () => {
  it.each([
    ['3.10.0-1160.el7', '3.10.0-1160.2.1.el7'],
    ['3.10.0-957.el7', '3.10.0-1062.el7'],
    ['4.18.0-147.el8', '4.18.0-147.0.2.el8_1'],
    ['4.18.0-305.19.1.an8', '4.18.0-305.25.1.an8_4'],
    ['5.4.17-2102.201.3.el7uek', '5.4.17-2136.301.0.el7uek'],
    ['5.10.134-12.1.an8', '5.10.134-13_rc2.an8'],
    ['1~rc1-1', '1-1'],
    ['1-1', '1^git1-1'],
    ['1^git1-1', '1.1-1'],
    ['1.a-1', '1.1-1'],
    ['09-1', '10-1'],
  ])('%s is older than %s', (older, newer) => {
    expect(compareRpmVersions(older, newer)).toBeLessThan(0)
    expect(compareRpmVersions(newer, older)).toBeGreaterThan(0)
    expect(compareRpmVersions(older, older)).toBe(0)
  })

  it.skipIf(spawnSync('rpm', ['--version']).status !== 0)(
    'agrees with rpm (skipped where there is none)',
    () => {
      const label = fc.stringMatching(/^[0-9a-z.~^_]{1,8}$/)
      const pairs = fc.sample(fc.tuple(label, label), 300)
      const lua = pairs.map(([a, b]) => `print(rpm.vercmp("${a}-1", "${b}-1") .. " ")`).join('\n')
      const { stdout } = spawnSync('rpm', ['--eval', `%{lua:${lua}}`], { encoding: 'utf8' })
      const expected = stdout.trim().split(' ').map(Number)
      expect(pairs.map(([a, b]) => Math.sign(compareRpmVersions(`${a}-1`, `${b}-1`)))).toEqual(expected)
    },
  )
})
