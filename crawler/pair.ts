import { limits } from '../core/limits.ts'
import type { Arch } from '../core/kernel.ts'
import type { KernelPackage, PackageFile } from '../core/kernel-package.ts'
import type { Log } from '../core/log.ts'
import type { KernelName, PackageRole } from './names.ts'

/** One package file that an index names, with what its name says. */
export interface FoundPackage {
  readonly name: KernelName
  /** The distribution's version whose suite lists it. */
  readonly version: string
  readonly arch: Arch
  /** By which its build is known. */
  readonly packageName: string
  readonly file: PackageFile
}

/** Those that are large enough to have what they are for; where an index states no size, all are. */
export function withKernel(
  found: readonly FoundPackage[],
  leastBytes: Readonly<Partial<Record<PackageRole, number>>>,
): FoundPackage[] {
  return found.filter(
    ({ file, name }) => file.sizeBytes === null || file.sizeBytes >= (leastBytes[name.role] ?? 0),
  )
}

/**
 * Builds from package files: all files of one release and one package version belong together. A file that several
 * suites list is one file with all their URLs, in the order in which they come. Modules without any package that may have
 * their kernel make no build.
 */
export function pairPackages(
  source: string,
  distro: string,
  found: readonly FoundPackage[],
  log: Log,
): KernelPackage[] {
  const builds = new Map<string, FoundPackage[]>()
  for (const one of found) {
    const key = [one.version, one.arch, one.name.release, one.file.version].join('/')
    const build = builds.get(key)
    if (build === undefined) builds.set(key, [one])
    else build.push(one)
  }
  return [...builds.values()].flatMap((build) => {
    const [first] = build
    if (first === undefined) return []
    const { name, version, arch } = first
    const ofRole = (role: PackageRole): PackageFile[] =>
      mergeFiles(
        build.filter((one) => one.name.role === role).map((one) => one.file),
        log,
      )
    if (build.every((one) => one.name.role === 'modules')) return []
    const modules = ofRole('modules')
    return [
      {
        kernel: { distro, version, arch, release: name.release },
        source,
        packageName: first.packageName,
        packageVersion: first.file.version,
        flavour: name.flavour,
        series: `${distro}/${version}/${name.series}`,
        images: smallestFirst(ofRole('image')),
        debugs: smallestFirst(ofRole('debug')),
        ...(modules.length > 0 && { modules }),
      },
    ]
  })
}

/** One file per name. Two of one name and version with different digests are not one: the first is kept. */
function mergeFiles(files: readonly PackageFile[], log: Log): PackageFile[] {
  const byName = new Map<string, PackageFile>()
  const told = new Set<string>()
  for (const file of files) {
    const known = byName.get(file.name)
    if (known === undefined) byName.set(file.name, file)
    else if (agree(known.sha256, file.sha256) && agree(known.sizeBytes, file.sizeBytes)) {
      // What one index leaves out another may say; the URLs of the one that says most come first.
      const [best, other] = proof(file) > proof(known) ? [file, known] : [known, file]
      const sizeBytes = best.sizeBytes ?? other.sizeBytes
      byName.set(file.name, {
        ...other,
        ...best,
        sizeBytes,
        urls: [...new Set([...best.urls, ...other.urls])].slice(0, limits.index.maxUrls),
      })
    } else {
      const { name, version, urls } = file
      if (!told.has(name)) log.warn({ name, version, urls }, 'one package with two contents')
      told.add(name)
    }
  }
  return [...byName.values()]
}

/** How well a file is known. */
function proof({ sha256, signed }: PackageFile): number {
  return sha256 === null ? 0 : signed ? 2 : 1
}

function agree(a: string | number | null, b: string | number | null): boolean {
  return a === null || b === null || a === b
}

/** Those that can be checked before those that cannot, the smaller first: twins carry the same kernel. */
function smallestFirst(files: readonly PackageFile[]): PackageFile[] {
  const rank = (file: PackageFile): number => (file.sha256 === null ? 1 : 0)
  return [...files].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      (a.sizeBytes ?? Infinity) - (b.sizeBytes ?? Infinity) ||
      (a.name < b.name ? -1 : 1),
  )
}
