import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compress } from '../apt-repository.ts'

/** The real tools that make a repository; null where all are there, else the first that is missing. */
export function missingRpmTool(): string | null {
  const tools = ['rpmbuild', 'createrepo_c', 'xz', 'zstd', 'bzip2', 'gpg']
  return tools.find((tool) => spawnSync(tool, ['--version']).status !== 0) ?? null
}

/** A small package with a real name. */
export interface TestRpm {
  readonly name: string
  readonly version: string
  readonly release: string
  readonly arch: string
  /** Bytes of noise in it, 2 MB by default: enough to have a kernel. */
  readonly ballast?: number
  /** Files on the disk to put into it, by their path in the package. */
  readonly files?: Readonly<Record<string, string>>
}

/** The file name of a package: `kernel-3.10.0-957.el7.x86_64.rpm`. */
export function rpmFileName({ name, version, release, arch }: TestRpm): string {
  return `${name}-${version}-${release}.${arch}.rpm`
}

/** Builds packages with rpmbuild into a folder, all that differ in nothing but names from one spec; gives their paths. */
export function buildRpms(dir: string, packages: readonly TestRpm[]): string[] {
  mkdirSync(dir, { recursive: true })
  for (const pkg of packages) buildRpm(dir, pkg)
  return packages.map((pkg) => join(dir, rpmFileName(pkg)))
}

function buildRpm(dir: string, pkg: TestRpm): void {
  const top = mkdtempSync(join(tmpdir(), 'rpm-'))
  try {
    const files = { '/ballast': join(top, 'ballast'), ...pkg.files }
    writeFileSync(join(top, 'ballast'), noise(rpmFileName(pkg), pkg.ballast ?? 2_000_000))
    const spec = [
      `Name: ${pkg.name}`,
      `Version: ${pkg.version}`,
      `Release: ${pkg.release}`,
      'Summary: test',
      'License: GPLv2',
      'AutoReqProv: no',
      '%description',
      'test',
      '%install',
      ...Object.entries(files).map(([path, from]) => `install -D ${from} %{buildroot}${path}`),
      '%files',
      ...Object.keys(files),
    ]
    writeFileSync(join(top, 'test.spec'), `${spec.join('\n')}\n`)
    const defines = [
      `_topdir ${top}`,
      'debug_package %{nil}',
      '_build_id_links none',
      '__os_install_post %{nil}',
      '_binary_payload w1.gzdio',
      'source_date_epoch_from_changelog 0',
      'use_source_date_epoch_as_buildtime 1',
    ].flatMap((define) => ['--define', define])
    execFileSync('rpmbuild', ['-bb', '--target', pkg.arch, ...defines, join(top, 'test.spec')], {
      stdio: 'pipe',
      env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000' },
    })
    copyFileSync(join(top, 'RPMS', pkg.arch, rpmFileName(pkg)), join(dir, rpmFileName(pkg)))
  } finally {
    rmSync(top, { recursive: true, force: true })
  }
}

export type RepoCoding = '' | '.gz' | '.xz' | '.zst' | '.bz2'

/** Writes `repodata` with createrepo_c: with XML in any compression, or with SQLite alone. */
export function createRepo(dir: string, form: 'xml' | 'sqlite', coding: RepoCoding): void {
  rmSync(join(dir, 'repodata'), { recursive: true, force: true })
  const args = ['--quiet', form === 'sqlite' ? '--database' : '--no-database', '--revision', '1', dir]
  execFileSync('createrepo_c', args, { stdio: 'pipe' })
  const type = form === 'xml' ? 'primary' : 'primary_db'
  editRepo(dir, (repomd) => {
    const wanted = new RegExp(`<data type="${type}">[^]*?</data>`).exec(repomd)?.[0] ?? ''
    const others = repomd.replace(/<data type="(?:primary|primary_db)">[^]*?<\/data>\s*/g, '')
    return others.replace('</repomd>', `${recompressed(dir, wanted, coding)}\n</repomd>`)
  })
}

/** Last changes to repomd.xml. */
export function editRepo(dir: string, edit: (repomd: string) => string): void {
  const path = join(dir, 'repodata/repomd.xml')
  writeFileSync(path, edit(readFileSync(path, 'utf8')))
}

/** The list of packages that a repository has, unpacked. */
export function primaryOf(dir: string): string {
  return join(
    dir,
    'repodata',
    readdirSync(join(dir, 'repodata')).find((name) => /primary\./.test(name)) ?? '',
  )
}

/** createrepo_c of Debian knows neither zstd nor no compression at all; what it writes is packed anew. */
function recompressed(dir: string, data: string, coding: RepoCoding): string {
  const href = /href="([^"]+)"/.exec(data)?.[1] ?? ''
  const path = join(dir, href)
  const packed = readFileSync(path)
  const plain = execFileSync(href.endsWith('.bz2') ? 'bzip2' : 'gzip', ['-dc'], {
    input: packed,
    maxBuffer: 1e9,
  })
  const bytes = compress(plain, coding)
  rmSync(path)
  const name = href.replace(/\.(?:gz|bz2)$/, coding)
  writeFileSync(join(dir, name), bytes)
  const digest = createHash('sha256').update(bytes).digest('hex')
  return data
    .replace(href, name)
    .replace(/<checksum type="sha256">[^<]*/, `<checksum type="sha256">${digest}`)
    .replace(/<size>[^<]*/, `<size>${bytes.byteLength}`)
}

/** Bytes that do not compress, the same for the same seed. */
function noise(seed: string, sizeBytes: number): Buffer {
  const blocks: Buffer[] = []
  for (let at = 0; at * 64 < sizeBytes; at++) {
    blocks.push(createHash('sha512').update(`${seed}${at}`).digest())
  }
  return Buffer.concat(blocks).subarray(0, sizeBytes)
}
