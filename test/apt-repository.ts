import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'

/** The real tools that make an archive; null where all are there, else the first that is missing. */
export function missingAptTool(): string | null {
  const tools: readonly (readonly [string, string])[] = [
    ['gpg', '--version'],
    ['dpkg-deb', '--version'],
    ['apt-ftparchive', '--version'],
    ['xz', '--version'],
    ['zstd', '--version'],
  ]
  return tools.find(([tool, flag]) => spawnSync(tool, [flag]).status !== 0)?.[0] ?? null
}

/** A throw-away OpenPGP key in a GnuPG home of its own. */
export interface TestKey {
  readonly fingerprint: string
  /** GnuPG's folder with the secret key. */
  readonly home: string
  /** Armoured public key. */
  readonly publicKey: string
  clearsign(text: string): Buffer
  detach(text: string | Uint8Array, armor?: boolean): Buffer
  remove(): void
}

export interface TestKeyOptions {
  /** GnuPG's expiry, `1d`; never by default. */
  readonly expires?: string
  /** What time GnuPG thinks it is: `20200101T000000`. */
  readonly at?: string
  readonly digest?: string
  /** GnuPG's word; `rsa2048` by default. */
  readonly algorithm?: 'rsa2048' | 'ed25519' | 'nistp256'
}

/** Makes a key with gpg. */
export function makeKey(options: TestKeyOptions = {}): TestKey {
  const home = mkdtempSync(join(tmpdir(), 'gpg-'))
  const time = options.at === undefined ? [] : ['--faked-system-time', options.at]
  const weak = options.digest === undefined ? [] : ['--digest-algo', options.digest]
  const gpg = (args: readonly string[], input: string | Uint8Array = ''): Buffer =>
    execFileSync('gpg', ['--homedir', home, '--batch', '--quiet', '--no-tty', ...time, ...weak, ...args], {
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  const name = 'Test Archive <archive@example.org>'
  const { algorithm = 'rsa2048', expires = 'never' } = options
  gpg(['--passphrase', '', '--quick-gen-key', name, algorithm, 'sign', expires])
  const listing = gpg(['--with-colons', '--list-keys']).toString()
  return {
    home,
    fingerprint: /^fpr:+([0-9A-F]+):/m.exec(listing)?.[1] ?? '',
    publicKey: gpg(['--armor', '--export']).toString(),
    clearsign: (text) => gpg(['--clearsign'], text),
    detach: (text, armor = true) => gpg([...(armor ? ['--armor'] : []), '--detach-sign'], text),
    remove: () => {
      spawnSync('gpgconf', ['--homedir', home, '--kill', 'all'])
      rmSync(home, { recursive: true, force: true })
    },
  }
}

export interface TestPackage {
  readonly name: string
  readonly version: string
  readonly arch: string
  /** More makes a larger package. */
  readonly ballast?: number
  readonly depends?: string
  /** Files on the disk to put into it, by their path in the package. */
  readonly files?: Readonly<Record<string, string>>
}

export interface TestSuite {
  readonly suite: string
  readonly codename?: string
  readonly origin?: string
  /** Folder of packages below the archive: `pool/main`. */
  readonly pool: string
  readonly arches: readonly string[]
  readonly codings?: readonly ('' | '.gz' | '.xz' | '.zst')[]
  readonly byHash?: boolean
  /** Last changes to the index before it is compressed. */
  readonly editPackages?: (text: string) => string
  /** Last changes to the Release file before it is signed. */
  readonly editRelease?: (text: string) => string
}

/** Builds a package with dpkg-deb in a pool folder of an archive. */
export function addPackage(root: string, pool: string, pkg: TestPackage): void {
  const tree = mkdtempSync(join(tmpdir(), 'deb-'))
  try {
    const control = [
      `Package: ${pkg.name}`,
      `Version: ${pkg.version}`,
      `Architecture: ${pkg.arch}`,
      'Maintainer: Nobody <nobody@example.org>',
      ...(pkg.depends === undefined ? [] : [`Depends: ${pkg.depends}`]),
      'Description: test',
      ' with a second line',
      ' .',
      ' and a fourth',
    ]
    put(join(tree, 'DEBIAN/control'), `${control.join('\n')}\n`)
    put(
      join(tree, 'ballast'),
      createHash('sha512')
        .update(pkg.name)
        .digest('hex')
        .repeat(pkg.ballast ?? 1),
    )
    for (const [path, from] of Object.entries(pkg.files ?? {})) put(join(tree, path), readFileSync(from))
    const file = join(root, pool, `${pkg.name}_${pkg.version}_${pkg.arch}.deb`)
    mkdirSync(dirname(file), { recursive: true })
    execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '-b', tree, file], {
      stdio: 'pipe',
      // The same package built twice is the same file.
      env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000' },
    })
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

/** Writes `dists/SUITE` with apt-ftparchive: indexes, Release, InRelease and Release.gpg by `key`. */
export function writeSuite(root: string, suite: TestSuite, key: TestKey): void {
  const dir = join(root, 'dists', suite.suite)
  rmSync(dir, { recursive: true, force: true })
  for (const arch of suite.arches) {
    const all = execFileSync('apt-ftparchive', ['-a', arch, 'packages', suite.pool], {
      cwd: root,
      stdio: 'pipe',
    })
    const text = (suite.editPackages ?? ((same: string) => same))(all.toString())
    for (const coding of suite.codings ?? ['', '.gz', '.xz']) {
      put(join(dir, `main/binary-${arch}/Packages${coding}`), compress(Buffer.from(text), coding))
    }
  }
  const settings = {
    Origin: suite.origin ?? 'Debian',
    Suite: 'oldstable',
    Codename: suite.codename ?? suite.suite,
    'Acquire-By-Hash': suite.byHash === true ? 'yes' : 'no',
  }
  const options = Object.entries(settings).flatMap(([n, v]) => ['-o', `APT::FTPArchive::Release::${n}=${v}`])
  const made = execFileSync('apt-ftparchive', [...options, 'release', dir], { stdio: 'pipe' }).toString()
  const release = (suite.editRelease ?? ((same: string) => same))(made)
  if (suite.byHash === true) writeByHash(dir)
  put(join(dir, 'Release'), release)
  put(join(dir, 'InRelease'), key.clearsign(release))
  put(join(dir, 'Release.gpg'), key.detach(release))
}

/** All files below a folder, by path: what a mirror serves. */
export function filesBelow(root: string): Map<string, Buffer> {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return new Map(files.map((file) => [`/${relative(root, file)}`, readFileSync(file)]))
}

/** Compresses with the real program. */
export function compress(bytes: Buffer, coding: '' | '.gz' | '.xz' | '.zst' | '.bz2'): Buffer {
  const programs = { '.gz': 'gzip', '.xz': 'xz', '.zst': 'zstd', '.bz2': 'bzip2' }
  return coding === '' ? bytes : execFileSync(programs[coding], ['-c'], { input: bytes, stdio: 'pipe' })
}

function writeByHash(dir: string): void {
  for (const [path, bytes] of filesBelow(dir)) {
    const digest = createHash('sha256').update(bytes).digest('hex')
    put(join(dir, dirname(path), 'by-hash/SHA256', digest), bytes)
  }
}

function put(path: string, content: string | Buffer): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}
