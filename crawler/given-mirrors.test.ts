import { describe, expect, it } from 'vitest'
import { givenMirrors, mirrorsFor } from './given-mirrors.ts'
import { CrawlError } from './types.ts'

const archive = (id: string, name: string): { id: string; name: string; mirrors: string[] } => ({
  id,
  name,
  mirrors: [],
})
const CENTOS = [archive('vault', 'centos-vault'), archive('debuginfo', 'centos-debuginfo')]
const UBUNTU = [archive('archive', 'ubuntu'), archive('ddebs', 'ddebs')]

describe('mirrors that were given', () => {
  it.each<[string, readonly string[], Readonly<Record<string, readonly string[]>>]>([
    [
      'a telling end, and its sibling',
      ['http://h/centos-vault'],
      { vault: ['http://h/centos-vault'], debuginfo: ['http://h/centos-debuginfo'] },
    ],
    [
      'both named',
      ['http://h/centos-vault/', 'http://i/centos-debuginfo'],
      { vault: ['http://h/centos-vault'], debuginfo: ['http://i/centos-debuginfo'] },
    ],
    ['no telling end', ['http://h/x'], { vault: ['http://h/x'], debuginfo: [] }],
  ])('%s', (_what, given, expected) => {
    expect(Object.fromEntries(givenMirrors(CENTOS, given))).toEqual(expected)
  })

  it.each(['ftp://h/centos-vault', 'centos-vault', 'http://h/centos-vault?x', 'http://h/centos-vault#x'])(
    '%s is no base URL',
    (given) => expect(() => givenMirrors(CENTOS, [given])).toThrow(CrawlError),
  )

  it.each<[string, readonly string[], readonly string[]]>([
    ['its own', ['http://h/centos-vault/'], ['http://h/centos-vault/']],
    ['one that says nothing', ['http://h/x'], ['http://h/x']],
    ["another source's", ['http://h/ubuntu', 'http://h/ddebs/'], []],
    ['both', ['http://h/ubuntu', 'http://h/centos-vault'], ['http://h/centos-vault']],
  ])('are told apart where several sources are crawled: %s', (_what, given, expected) => {
    expect(mirrorsFor(CENTOS, UBUNTU, given)).toEqual(expected)
  })
})
