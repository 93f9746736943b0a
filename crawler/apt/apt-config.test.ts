import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../core/version.ts'
import { checksValidUntil } from './apt-conf.ts'
import { type AptEntry, parseDeb822, parseOneLine, readAptConfig } from './apt-config.ts'

const plain: AptEntry = {
  uris: [],
  suites: [],
  components: ['main'],
  keyFiles: [],
  inlineKeys: [],
  checkValidUntil: true,
}

describe('one-line format', () => {
  it.each<[string, Partial<AptEntry> | null]>([
    ['deb http://h/debian/ bookworm main', { uris: ['http://h/debian'], suites: ['bookworm'] }],
    [
      '  deb   http://h/d  x   main   contrib # why',
      { uris: ['http://h/d'], suites: ['x'], components: ['main', 'contrib'] },
    ],
    [
      'deb [ arch=amd64,arm64 signed-by=/k/a.gpg,/k/b.gpg check-valid-until=no ] http://h/d x main',
      { uris: ['http://h/d'], suites: ['x'], keyFiles: ['/k/a.gpg', '/k/b.gpg'], checkValidUntil: false },
    ],
    [
      'deb [Signed-By=0123456789ABCDEF0123456789ABCDEF01234567] http://h/d x main',
      { uris: ['http://h/d'], suites: ['x'] },
    ],
    ['deb http://h/d ./', { uris: ['http://h/d'], suites: ['./'], components: [] }],
    ['deb-src http://h/d x main', null],
    ['# deb http://h/d x main', null],
    ['', null],
    ['deb cdrom:[Debian GNU/Linux 12 _Bookworm_]/ bookworm main', null],
  ])('%s', (line, entry) => {
    expect(parseOneLine(`${line}\n`)).toEqual({
      entries: entry === null ? [] : [{ ...plain, ...entry }],
      problems: [],
    })
  })

  it('says what it does not understand, and reads on', () => {
    const config = parseOneLine('deb http://h/d\nrpm http://h/d x main\ndeb http://h/d x main')
    expect(config.problems).toEqual([
      'not understood: deb http://h/d',
      'not understood: rpm http://h/d x main',
    ])
    expect(config.entries).toHaveLength(1)
  })

  const corpus = resolve(
    packageRoot,
    process.env.BTFHUB_CORPUS ?? '../shared/data',
    'listings/repo-files/ubuntu/focal/etc/apt/sources.list',
  )
  it.skipIf(!existsSync(corpus))(
    'reads the stock file of Ubuntu (skipped where the corpus is not there)',
    () => {
      const config = parseOneLine(readFileSync(corpus, 'utf8'))
      expect(config.problems).toEqual([])
      expect(config.entries).toHaveLength(10)
      expect(new Set(config.entries.flatMap((entry) => entry.suites))).toEqual(
        new Set(['focal', 'focal-updates', 'focal-backports', 'focal-security']),
      )
    },
  )
})

describe('deb822 format', () => {
  it('reads stanzas with several URIs and suites, comments in between', () => {
    const text = `# Debian
Types: deb deb-src
# the snapshot that it was built from
URIs: http://a/debian http://b/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://c/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://d/debian
Suites: bookworm
Components: main
`
    expect(parseDeb822(text)).toEqual({
      entries: [
        {
          ...plain,
          uris: ['http://a/debian', 'http://b/debian'],
          suites: ['bookworm', 'bookworm-updates'],
          components: ['main', 'contrib'],
          keyFiles: ['/usr/share/keyrings/debian-archive-keyring.gpg'],
        },
      ],
      problems: [],
    })
  })

  it('reads a key that is written in place', () => {
    const { entries } = parseDeb822(`Types: deb
URIs: http://h/d
Suites: x
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYCQjIxYJKwYBBAHaRw8BAQdAD/P5Nvvnvk66SxBBHDbhRml9ORg1WV5CvzKY
 =abcd
 -----END PGP PUBLIC KEY BLOCK-----
`)
    expect(entries[0]?.keyFiles).toEqual([])
    expect(entries[0]?.inlineKeys).toEqual([
      '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEYCQjIxYJKwYBBAHaRw8BAQdAD/P5Nvvnvk66SxBBHDbhRml9ORg1WV5CvzKY\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----',
    ])
  })

  it('says what it does not understand, and reads on', () => {
    const config = parseDeb822(
      'Types: deb\nURIs: http://h\n\ngarbage\n\nTypes: deb\nURIs: http://h\nSuites: x\n',
    )
    expect(config.problems).toEqual(['not understood: Types: deb …', 'not understood: garbage …'])
    expect(config.entries).toHaveLength(1)
  })
})

describe('Acquire::Check-Valid-Until', () => {
  it.each([
    ['', true],
    ['Acquire::Check-Valid-Until "false";', false],
    ['acquire::check-valid-until no;', false],
    ['Acquire { Check-Valid-Until "0"; };', false],
    ['Acquire { http { Pipeline-Depth "0"; }; Check-Valid-Until "false"; }', false],
    ['// Acquire::Check-Valid-Until "false";', true],
    ['/* Acquire::Check-Valid-Until "false"; */', true],
    ['# Acquire::Check-Valid-Until "false";', true],
    ['Acquire::Check-Valid-Until "false"; Acquire::Check-Valid-Until "true";', true],
    ['Other { Acquire::Check-Valid-Until "false"; };', true],
    ['Acquire { http { Check-Valid-Until "false"; }; };', true],
    ['X { "a // b"; "{"; }; Acquire::Check-Valid-Until "false";', false],
    ['}}} ; ; { Acquire', true],
  ])('%s', (text, checks) => {
    expect(checksValidUntil(text)).toBe(checks)
  })
})

describe('a machine', () => {
  const roots: string[] = []
  afterEach(() => {
    for (const root of roots.splice(0)) rmSync(root, { recursive: true })
  })

  function machine(files: Readonly<Record<string, string>>): string {
    const root = mkdtempSync(join(tmpdir(), 'btfhub-apt-config-'))
    roots.push(root)
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    return root
  }

  it('without apt has no entries', async () => {
    expect(await readAptConfig(machine({}))).toEqual({ entries: [], problems: [] })
  })

  it('has its entries in the order of apt, and files that apt ignores ignored', async () => {
    const root = machine({
      'etc/apt/sources.list': 'deb http://first/d x main\n',
      'etc/apt/sources.list.d/b.list': 'deb http://third/d x main\n',
      'etc/apt/sources.list.d/a.sources': 'Types: deb\nURIs: http://second/d\nSuites: x\nComponents: main\n',
      'etc/apt/sources.list.d/c.list.save': 'deb http://never/d x main\n',
      'etc/apt/sources.list.d/d e.list': 'deb http://never/d x main\n',
    })
    const { entries } = await readAptConfig(root)
    expect(entries.flatMap((entry) => entry.uris)).toEqual([
      'http://first/d',
      'http://second/d',
      'http://third/d',
    ])
    expect(entries.every((entry) => entry.checkValidUntil)).toBe(true)
  })

  it('can name a list of mirrors, as cloud images do', async () => {
    const root = machine({
      'etc/apt/sources.list.d/debian.sources':
        'Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: bookworm\nComponents: main\n',
      'etc/apt/mirrors/debian.list': '# near\nhttps://near/debian/\tpriority:1\nhttps://far/debian\n',
    })
    expect((await readAptConfig(root)).entries[0]?.uris).toEqual([
      'https://near/debian',
      'https://far/debian',
    ])
  })

  it('can leave Valid-Until unchecked for all', async () => {
    const root = machine({
      'etc/apt/sources.list': 'deb http://h/d x main\n',
      'etc/apt/apt.conf.d/99snapshot': 'Acquire::Check-Valid-Until "false";\n',
    })
    expect((await readAptConfig(root)).entries[0]?.checkValidUntil).toBe(false)
  })
})
