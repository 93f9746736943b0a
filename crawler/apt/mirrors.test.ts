import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../core/version.ts'
import { parseSource } from '../load-sources.ts'
import { parseDeb822, parseOneLine } from './apt-config.ts'
import { mirrorsOf } from './mirrors.ts'

const file = parseSource('debian.yaml', readFileSync(join(packageRoot, 'data/sources/debian.yaml'), 'utf8'))
const [only] = file.indexes
if (only?.format !== 'apt') throw new Error('expected an apt index')
const index = only
const [first = ''] = index.archives[0]!.mirrors
const own = new Map(index.archives.map((archive) => [archive.id, archive.mirrors]))

function bases(given: readonly string[], apt = ''): Record<string, readonly string[]> {
  const { entries } = apt.startsWith('Types') ? parseDeb822(apt) : parseOneLine(apt)
  return Object.fromEntries(
    [...mirrorsOf(index, given, entries)].map(([id, list]) => [id, list.map((m) => m.base)]),
  )
}

describe('mirrors that were given', () => {
  it.each<[string[], string[], string[]]>([
    [['http://h/debian'], ['http://h/debian'], ['http://h/debian-security']],
    [['http://h/x/debian/'], ['http://h/x/debian'], ['http://h/x/debian-security']],
    [['http://h/debian-security'], ['http://h/debian'], ['http://h/debian-security']],
    [['http://h/mirror'], ['http://h/mirror'], []],
    [['http://h/mirror', 'http://h/mirror-security'], ['http://h/mirror'], ['http://h/mirror-security']],
    [
      ['http://a/debian', 'http://b/debian'],
      ['http://a/debian', 'http://b/debian'],
      ['http://a/debian-security', 'http://b/debian-security'],
    ],
    [['http://a/debian', 'http://s/debian-security'], ['http://a/debian'], ['http://s/debian-security']],
    [['file:///srv/debian'], ['file:///srv/debian'], ['file:///srv/debian-security']],
  ])('%j', (given, main, security) => {
    expect(bases(given, 'deb http://machine/debian bookworm main')).toEqual({ main, security })
  })

  it.each(['h/debian', 'ftp://h/debian', 'http://h/debian?x', ''])(
    'have to be base URLs, unlike %j',
    (given) => {
      expect(() => bases([given])).toThrow(/expected a base URL like http:\/\/host\/debian/)
    },
  )
})

describe('mirrors of the machine', () => {
  it('come before the own ones, each once', () => {
    const apt = `Types: deb
URIs: ${first} http://near/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://near/debian-security
Suites: bookworm-security
Components: main
`
    const { main = [], security } = bases([], apt)
    expect(main.slice(0, 2)).toEqual([first, 'http://near/debian'])
    expect(main.filter((base) => base === first)).toHaveLength(1)
    expect(security).toEqual(['http://near/debian-security', ...(own.get('security') ?? [])])
  })

  it.each([
    ['deb http://security.debian.org bookworm-security main', 'security', 'http://security.debian.org'],
    ['deb http://near/debian stable main', 'main', 'http://near/debian'],
    ['deb http://near/debian-security stable-security main', 'security', 'http://near/debian-security'],
  ])('%s serves %s', (apt, archive, base) => {
    expect(bases([], apt)).toEqual({
      main: own.get('main'),
      security: own.get('security'),
      [archive]: [base, ...(own.get(archive) ?? [])],
    })
  })

  it.each([
    'deb https://download.docker.com/linux/debian bookworm stable',
    'deb https://deb.example.com/node_20.x nodistro main',
    'deb http://archive.ubuntu.com/ubuntu noble main',
    'deb tor+http://x.onion/debian bookworm main',
  ])('%s serves neither', (apt) => {
    expect(bases([], apt)).toEqual(Object.fromEntries(own))
  })
})
