import { join } from 'node:path'
import { download, fieldOf, offerOf, stanzas } from '../../extractor/mirror.fixture.ts'
import { run } from '../../extractor/run.fixture.ts'

/** Has pahole 1.30 and bpftool with libbpf 1.5: the first that make, and read, distilled bases. */
const SUITE = 'trixie'
const PACKAGES = [
  ...['pahole', 'bpftool', 'libbpf1', 'libelf1t64', 'libdw1t64'],
  ...['libc6', 'zlib1g', 'liblzma5', 'libbz2-1.0', 'libzstd1'],
]

/** Runs a program of {@link unpackNewerTools}; its stdout. Throws where it fails. */
export type RunNewer = (program: 'pahole' | 'bpftool', args: readonly string[]) => Buffer

/**
 * Unpacks pahole and bpftool of a newer Debian than this machine's below a folder, with all that they are linked with. For
 * x86_64. Throws where the mirror lacks a package, or gives another than its index says.
 */
export async function unpackNewerTools(mirror: string, dir: string): Promise<RunNewer> {
  const index = await stanzas(mirror, SUITE, 'amd64', /^Package: (?:pahole|bpftool|lib\S+|zlib1g)\n/)
  for (const name of PACKAGES) {
    const stanza = index.find((one) => fieldOf(one, 'Package') === name)
    if (stanza === undefined) throw new Error(`${SUITE} has no ${name}`)
    run('dpkg-deb', ['-x', await download(mirror, offerOf(stanza)), dir])
  }
  const [loader, libraries] = ['usr/lib64/ld-linux-x86-64.so.2', 'usr/lib/x86_64-linux-gnu'].map((path) =>
    join(dir, path),
  ) as [string, string]
  const paths = { pahole: 'usr/bin/pahole', bpftool: 'usr/sbin/bpftool' }
  return (program, args) => run(loader, ['--library-path', libraries, join(dir, paths[program]), ...args])
}
