import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { download, fieldOf, findMirror, offerOf, stanzas } from '../../extractor/mirror.fixture.ts'
import { run } from '../../extractor/run.fixture.ts'

/** Has Rust crates as packages of sources: `librust-NAME-dev`, installed as cargo's directory source. */
const SUITE = 'trixie'

/**
 * Unpacks crates and all that they need below a folder, from the Debian mirror that apt is configured for (of a suite
 * that this machine need not have), and tells cargo to take crates from there only.
 * @param crates as Debian names them: `aya` for librust-aya-dev
 * @param dir where to: gets `usr/share/cargo/registry` and `.cargo/config.toml`, so cargo run below it finds them
 * @returns false where no mirror answers
 * @throws Error where the suite lacks a crate, a download fails or has another digest
 */
export async function unpackCrates(crates: readonly string[], dir: string): Promise<boolean> {
  const mirror = await findMirror()
  if (mirror === null) return false
  const index = await stanzas(mirror, SUITE, 'amd64', /^Package: librust-/)
  const wanted = closure(
    index,
    crates.map((name) => `librust-${name}-dev`),
  )
  await mkdir(dir, { recursive: true })
  for (const stanza of wanted) run('dpkg-deb', ['-x', await download(mirror, offerOf(stanza)), dir])
  await mkdir(join(dir, '.cargo'), { recursive: true })
  await writeFile(join(dir, '.cargo/config.toml'), cargoConfig(join(dir, 'usr/share/cargo/registry')))
  return true
}

/**
 * Runs cargo in a folder below the crates', offline.
 * @throws Error with what cargo said where it fails
 */
export function cargo(cwd: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('cargo', [...args, '--offline'], { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Error(`cargo ${args.join(' ')}: ${stderr}`)
  return stdout
}

/** The stanzas of packages and of all that they depend on. Versions are the suite's, so they fit each other. */
function closure(index: readonly string[], names: readonly string[]): ReadonlySet<string> {
  const byName = new Map<string, string>()
  for (const stanza of index) {
    for (const provided of namesIn(fieldOf(stanza, 'Provides'))) byName.set(provided[0] ?? '', stanza)
  }
  for (const stanza of index) byName.set(fieldOf(stanza, 'Package'), stanza)

  const found = new Set<string>()
  const open = names.map((name) => [name])
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const crates = next.filter((name) => name.startsWith('librust-'))
    if (crates.length === 0) continue
    const stanza = crates.map((name) => byName.get(name)).find((one) => one !== undefined)
    if (stanza === undefined) throw new Error(`${SUITE} has no ${next.join(' or ')}`)
    if (found.has(stanza)) continue
    found.add(stanza)
    open.push(...namesIn(fieldOf(stanza, 'Depends')))
  }
  return found
}

/** `a (>= 1), b | c` as [[a], [b, c]]. */
function namesIn(field: string): string[][] {
  if (field === '') return []
  return field.split(', ').map((one) => one.split(' | ').map((name) => name.replace(/[ :].*$/, '')))
}

function cargoConfig(registry: string): string {
  return [
    '[source.crates-io]',
    'replace-with = "debian"',
    '[source.debian]',
    `directory = ${JSON.stringify(registry)}`,
    '',
  ].join('\n')
}
