/** The real cilium/ebpf as an oracle, of versions and with a Go that this machine need not have. */
import { spawnSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hostArch, unpackPackages } from './debian-packages.ts'
import { askOracle, type OracleAnswer, type OraclePair } from './oracle-process.ts'

export interface Cilium {
  /** Debian's version of it: `0.11.0-2`. */
  readonly version: string
  readonly program: string
}

/** Whose cilium/ebpf, and the build tags of test/helpers/cilium that go with it. */
const SUITES = [
  { suite: 'trixie', tags: '' },
  { suite: 'sid', tags: 'targets' },
] as const

const EBPF = 'golang-github-cilium-ebpf-dev'
const LIBRARIES = new RegExp(`${EBPF}|golang-golang-x-(?:sys|exp)-dev`)

/**
 * Builds the oracle with each version of cilium/ebpf that the mirror's suites have.
 * @param dir where to unpack and build
 * @throws Error where a suite lacks a package, a download fails or has another digest, or the oracle does not compile
 */
export async function buildCilium(mirror: string, dir: string): Promise<Cilium[]> {
  const goRoot = await unpackGo(mirror, join(dir, 'compiler'))
  const built: Cilium[] = []
  for (const { suite, tags } of SUITES) {
    const root = join(dir, suite)
    const versions = await unpackPackages({ mirror, suite, arch: hostArch, names: LIBRARIES }, root)
    const program = join(dir, `cilium-${suite}`)
    const env = {
      ...process.env,
      GOROOT: goRoot,
      GOPATH: join(root, 'usr/share/gocode'),
      GOCACHE: join(dir, 'cache'),
      GOTOOLCHAIN: 'local',
      GO111MODULE: 'off',
      GOFLAGS: '',
    }
    const cwd = new URL('./cilium', import.meta.url).pathname
    const args = ['build', '-tags', tags, '-o', program, '.']
    const { status, stderr } = spawnSync(join(goRoot, 'bin/go'), args, { cwd, env, encoding: 'utf8' })
    if (status !== 0) throw new Error(`the oracle does not compile with cilium/ebpf of ${suite}: ${stderr}`)
    built.push({ version: versions.get(EBPF) ?? '', program })
  }
  return built
}

/** What it says of each pair; ids of the kernel's types left out, since a min BTF has its own. */
export async function askCilium(program: string, pairs: readonly OraclePair[]): Promise<OracleAnswer[]> {
  const answers = await askOracle(program, pairs)
  return answers.map((lines) => lines.map((line) => line.replace(/(target_type_id=\d+->)\d+/, '$1ID')))
}

/** Unpacks a Go; Debian links it statically, so that sid's runs everywhere. */
async function unpackGo(mirror: string, dir: string): Promise<string> {
  await unpackPackages({ mirror, suite: 'sid', arch: hostArch, names: /golang-1\.\d+-(?:go|src)/ }, dir)
  const versions = await readdir(join(dir, 'usr/lib'))
  versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  return join(dir, 'usr/lib', versions.at(-1) ?? '')
}
