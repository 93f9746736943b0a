import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { packageRoot } from '../core/version.ts'
import { readKeyring } from './openpgp/keyring.ts'
import { hostPolicies, loadSources, parseSource } from './load-sources.ts'
import { CrawlError } from './types.ts'

const text = readFileSync(join(packageRoot, 'data/sources/debian.yaml'), 'utf8')

describe('the files under data/sources', () => {
  it('are what the schema says, and their keyrings are there', async () => {
    const files = await loadSources(join(packageRoot, 'data/sources'))
    expect(files.map((file) => file.id)).toContain('debian')
    for (const index of files.flatMap((file) => file.indexes)) {
      const { shipped } = 'keyrings' in index ? (index.keyrings ?? { shipped: [] }) : { shipped: [] }
      for (const name of shipped) {
        const bytes = readFileSync(join(packageRoot, 'data/keys', name))
        expect((await readKeyring([{ name, bytes }])).keys.length).toBeGreaterThan(0)
      }
    }
  })

  it('cover Debian 11 to 13 with updates, security and backports', () => {
    const [index] = parseSource('debian.yaml', text).indexes
    expect(Object.keys(index?.versions ?? {}).sort()).toEqual(['11', '12', '13'])
    for (const suites of Object.values(index?.versions ?? {})) expect(suites).toHaveLength(4)
  })
})

describe('a wrong source file', () => {
  type Edit = (source: Record<string, unknown> & { indexes: Record<string, unknown>[] }) => void
  it.each<[string, Edit, RegExp]>([
    ['an unknown field', (s) => (s.mirors = []), /mirors/],
    ['no indexes', (s) => (s.indexes = []), /indexes/],
    ['an unknown format', (s) => (s.indexes[0]!.format = 'pacman'), /format/],
    ['an unknown architecture', (s) => (s.arches = { amd64: 'amd64' }), /arches/],
    [
      'an id that is not its name',
      (s) => (s.id = 'ubuntu'),
      /expected the id to be the file's name, got ubuntu/,
    ],
    [
      'a suite of no archive',
      (s) => (s.indexes[0]!.versions = { '12': [{ archive: 'nope', suite: 'x' }] }),
      /a suite names an archive that is not there/,
    ],
    [
      'a pattern that is none',
      (s) => ((s.indexes[0]!.names as Record<string, unknown>).releases = ['(?<series>']),
      /expected a regular expression/,
    ],
    [
      'a template without a release',
      (s) => ((s.indexes[0]!.names as Record<string, unknown>).image = ['linux-image']),
      /expected \{release\} in it, once/,
    ],
    [
      'one package in two roles',
      (s) => ((s.indexes[0]!.names as Record<string, unknown>).modules = ['linux-image-{release}']),
      /a package has one role/,
    ],
    [
      'a mirror with a slash at its end',
      (s) => ((s.indexes[0]!.archives as { mirrors: string[] }[])[0]!.mirrors = ['http://h/debian/']),
      /expected no slash at the end/,
    ],
  ])('has its fault named: %s', (_what, edit, message) => {
    const source = parse(text) as Parameters<Edit>[0]
    edit(source)
    expect(() => parseSource('debian.yaml', stringify(source))).toThrow(message)
    expect(() => parseSource('debian.yaml', stringify(source))).toThrow(CrawlError)
  })

  it('can be no YAML at all', () => {
    expect(() => parseSource('debian.yaml', 'a: [')).toThrow(/^debian\.yaml: /)
  })
})

it('tells the HTTP client how hosts want to be treated, the gentlest wish first', () => {
  const file = parseSource('debian.yaml', text)
  const shy = { ...file, politeness: { concurrency: 1, delayMs: 500, because: 'it says so' } }
  const { host } = new URL(file.indexes[0]!.archives[0]!.mirrors[0]!)
  expect(hostPolicies([file]).byHost[host]).toEqual({ concurrency: 4, delayMs: 0 })
  expect(hostPolicies([file, shy]).byHost[host]).toEqual({ concurrency: 1, delayMs: 500 })
})
