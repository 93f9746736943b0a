/** BPF objects of real tools as Debian ships them, for either architecture and of several releases, wherever this runs. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type FoundObject, objectsInFile, uniqueObjects } from './bpf-objects.ts'
import { unpackPackages } from './debian-packages.ts'

/** The packages that have BPF objects, with the libraries of theirs that have them instead. */
const PACKAGES =
  /libbpf-tools|(?:lib)?bpftune\d*|xdp-tools|libxdp1|systemd|systemd-container|libsystemd-shared|mimic|pwru|bpftop/

/** Compilers, libbpfs and tools of three releases. */
const SUITES = ['bookworm', 'trixie', 'sid'] as const

/**
 * All BPF objects in those packages of a mirror, each content once, named after tool and suite.
 * @param dir where to unpack
 * @throws Error where a download fails or has another digest
 */
export async function packagedObjects(
  mirror: string,
  arch: 'amd64' | 'arm64',
  dir: string,
): Promise<FoundObject[]> {
  const found: FoundObject[] = []
  for (const suite of SUITES) {
    const root = join(dir, `${suite}-${arch}`)
    await unpackPackages({ mirror, suite, arch, names: PACKAGES }, root)
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      for (const { name, bytes } of objectsInFile(join(entry.parentPath, entry.name))) {
        found.push({ name: `${name} of ${suite}`, bytes })
      }
    }
  }
  return uniqueObjects(found)
}
