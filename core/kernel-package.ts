import type { Sha256 } from './digest.ts'
import type { Kernel } from './kernel.ts'

/** One package file on a mirror. */
export interface PackageFile {
  /** `linux-image-6.1.0-47-amd64-dbg`. */
  readonly name: string
  /** The package's own version, `6.1.170-3`: part of what makes a build. */
  readonly version: string
  /** Where it can be had, in the order to try. */
  readonly urls: readonly string[]
  /** As the index states it; null where the index says nothing. */
  readonly sizeBytes: number | null
  /** As the index states it; null where the index says nothing. */
  readonly sha256: Sha256 | null
  /** True where the digest comes from an index whose signature was verified. */
  readonly signed: boolean
  /** True where the package itself has to be signed by its distribution, however it is listed. */
  readonly mustBeSigned?: true
  /** When it was built or published, ISO 8601; missing where the index says nothing. */
  readonly date?: string
  /** Where size and digest are told, when the index does not, in the order to ask: only for what is downloaded. */
  readonly details?: readonly DetailsPlace[]
}

/** Where more is told of a package file than its index said. */
export type DetailsPlace =
  /** A list of files with size and sha256, as Launchpad has it of one publication. */
  | { readonly kind: 'launchpad'; readonly url: string }
  /** An archive in Debian's form as it was at some time: one of these suites lists the file, in a signed index. */
  | {
      readonly kind: 'archive'
      readonly base: string
      readonly suites: readonly string[]
      readonly arch: string
    }

/**
 * One build of one kernel as a distribution offers it: what the crawler gives and the extractor takes. At least one
 * package is there, of the one kind or the other.
 */
export interface KernelPackage {
  readonly kernel: Kernel
  /** The id of the source that listed it: `debian`. */
  readonly source: string
  /** The name of the package that this build is known by, of the image or else of the debug package. */
  readonly packageName: string
  /** The version that its packages share. */
  readonly packageVersion: string
  /** `generic`, `cloud`, `rt`; `default` for the plain kernel. */
  readonly flavour: string
  /** Builds that follow each other: `debian/12/6.1`. `--newest` counts per series, flavour and arch. */
  readonly series: string
  /** Packages with the kernel image, each as good as the other, in the order to try. */
  readonly images: readonly PackageFile[]
  /** Packages with vmlinux and its DWARF, in the order to try. */
  readonly debugs: readonly PackageFile[]
  /** Packages with modules and no kernel, each with others than the next: all of them are needed. Missing where there are none. */
  readonly modules?: readonly PackageFile[]
  /** False where images of such kernels are known to carry no BTF, so that only a debug package is worth reading. */
  readonly imagesHaveBtf?: boolean
  /** False where the kernel is known to have no eBPF: nobody needs its BTF. */
  readonly hasEbpf?: boolean
  /**
   * True where the debug package's vmlinux of such kernels is known to have another build-id than the image: the image
   * is then read for the id that the running kernel has.
   */
  readonly buildIdsDiffer?: boolean
}

/** The key under which it is remembered that the modules of a build could not be taken in. */
export function modulesKey(buildKey: string): string {
  return `${buildKey} modules`
}

/** The key of a build in catalogs and logs: what must be equal for two listings to mean the same build. */
export function packageKey(pkg: KernelPackage): string {
  const { distro, version, arch, release } = pkg.kernel
  return [pkg.source, distro, version, arch, release, pkg.packageName, pkg.packageVersion].join('/')
}
