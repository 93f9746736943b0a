import { mkdir } from 'node:fs/promises'
import { download, fieldOf, offerOf, stanzas } from '../../extractor/mirror.fixture.ts'
import { run } from '../../extractor/run.fixture.ts'

/** Packages of a suite that this machine need not have. */
export interface Wanted {
  /** Of the Debian archive that apt is configured for: {@link findMirror}. */
  readonly mirror: string
  readonly suite: string
  /** Debian's: `amd64`. */
  readonly arch: string
  /** What their names are like, from the first character to the last. */
  readonly names: RegExp
}

/**
 * Unpacks packages below `root`, nothing of them installed.
 * @returns their versions by name, in the index's order
 * @throws Error where the suite has none, or a download fails or has another digest
 */
export async function unpackPackages(wanted: Wanted, root: string): Promise<ReadonlyMap<string, string>> {
  const { mirror, suite, arch, names } = wanted
  const pattern = new RegExp(`^Package: (?:${names.source})$`, 'm')
  const found = await stanzas(mirror, suite, arch, pattern)
  if (found.length === 0) throw new Error(`${suite} has no package for ${arch} called ${names.source}`)
  await mkdir(root, { recursive: true })
  for (const stanza of found) run('dpkg-deb', ['-x', await download(mirror, offerOf(stanza)), root])
  return new Map(found.map((stanza) => [fieldOf(stanza, 'Package'), fieldOf(stanza, 'Version')]))
}

/** Debian's name of the architecture that this runs on. */
export const hostArch = process.arch === 'arm64' ? 'arm64' : 'amd64'
