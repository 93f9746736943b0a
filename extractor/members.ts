/** A file in a package that may hold what is wanted. */
export interface Candidate {
  /** `uname -r`, as its path says. */
  readonly release: string
  /** `kernel`: an image or an ELF. `btf`: raw BTF, in an archive of such. */
  readonly role: 'kernel' | 'btf'
}

/** Names that could be a release: one path segment, no dot at its start. */
const RELEASE = '([A-Za-z0-9][A-Za-z0-9._+~:@-]{0,199})'

/**
 * Where distributions put kernels; facts/mirrors.md, "Paths" of each. Anything that merely contains `vmlinux` is not
 * one. The first that matches counts: a suffix is no part of a release.
 */
const KERNEL_PATHS: readonly RegExp[] = [
  // SUSE's: the same kernel as an ELF, and the debuginfo beside what was stripped.
  new RegExp(`^boot/vmlinux-${RELEASE}\\.(?:gz|xz|zst)$`),
  new RegExp(`^(?:usr/)?lib/modules/${RELEASE}/vmlinux\\.(?:gz|xz|zst)$`),
  new RegExp(`^usr/lib/debug/boot/vmlinux-${RELEASE}\\.debug$`),
  new RegExp(`^usr/lib/debug/(?:usr/)?lib/modules/${RELEASE}/vmlinux\\.debug$`),
  new RegExp(`^boot/(?:vmlinu[xz]|Image)-${RELEASE}$`),
  // Debian's linux-binary-unsigned has the suffix.
  new RegExp(`^(?:usr/)?lib/modules/${RELEASE}/vmlinuz(?:\\.unsigned)?$`),
  new RegExp(`^usr/lib/debug/boot/vmlinux-${RELEASE}$`),
  new RegExp(`^usr/lib/debug/(?:usr/)?lib/modules/${RELEASE}/vmlinux$`),
]

/** Files `RELEASE.btf`; macOS puts `._RELEASE.btf` in front of each (AppleDouble), which a release cannot be. */
const BTF_PATH = new RegExp(`^(?:[^/]+/)*${RELEASE}\\.btf$`)

/** What a path in a package promises; null where it is of no interest. */
export function candidateAt(path: string): Candidate | null {
  const relative = path.replace(/^\.?\//, '')
  for (const pattern of KERNEL_PATHS) {
    const release = pattern.exec(relative)?.[1]
    if (release !== undefined) return { release, role: 'kernel' }
  }
  const release = BTF_PATH.exec(relative)?.[1]
  return release === undefined ? null : { release, role: 'btf' }
}
