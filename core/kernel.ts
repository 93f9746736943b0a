import { HubError } from './errors.ts'

/** `uname -m` of the architectures that distributions build for. */
export const ARCHES = ['x86_64', 'aarch64', 's390x', 'ppc64le', 'riscv64'] as const
export type Arch = (typeof ARCHES)[number]

/** A kernel as one distribution ships it. */
export interface Kernel {
  /** os-release `ID`: `debian`, `centos`. */
  readonly distro: string
  /** os-release `VERSION_ID`, as coarse as archives have it: `12`, `7`, `20.04`. */
  readonly version: string
  readonly arch: Arch
  /** Exactly what `uname -r` prints on it. */
  readonly release: string
}

export class KernelNameError extends HubError<'BAD_NAME'> {}

// Where agents and archives spell one thing in several ways: facts/agents.md 3.1 lists who does.
const ARCH_ALIASES: Readonly<Record<string, Arch>> = { amd64: 'x86_64', x86: 'x86_64', arm64: 'aarch64' }

const DISTRO_ALIASES: Readonly<Record<string, string>> = {
  amazon: 'amzn',
  oracle: 'ol',
  redhat: 'rhel',
  suse: 'sles',
  opensuse: 'opensuse-leap',
  opensuse_leap: 'opensuse-leap',
  openeuler: 'openEuler',
}

const VERSION_ALIASES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  debian: { stretch: '9', buster: '10', bullseye: '11', bookworm: '12', trixie: '13', forky: '14' },
  ubuntu: {
    trusty: '14.04',
    xenial: '16.04',
    bionic: '18.04',
    focal: '20.04',
    jammy: '22.04',
    noble: '24.04',
    resolute: '26.04',
  },
  amzn: { '1': '2018' },
}

/** Distributions whose os-release has a point release that their archives do not. */
const MAJOR_ONLY: ReadonlySet<string> = new Set([
  'rhel',
  'centos',
  'ol',
  'rocky',
  'almalinux',
  'amzn',
  'debian',
  'anolis',
  'alinux',
])

/** An architecture by any of its names; null where there is none of that name. */
export function parseArch(text: string): Arch | null {
  const name = text.trim().toLowerCase()
  const alias = ARCH_ALIASES[name]
  if (alias !== undefined) return alias
  return ARCHES.find((arch) => arch === name) ?? null
}

/** An architecture as btfhub-shaped paths print it: `arm64` where `uname -m` says `aarch64`. */
export function archiveArch(arch: Arch): string {
  return arch === 'aarch64' ? 'arm64' : arch
}

/** Other names of a distribution's version, as agents and archives spell it; those of its point releases left out. */
export function versionAliases(distro: string, version: string): string[] {
  return Object.entries(VERSION_ALIASES[distro] ?? {})
    .filter(([, named]) => named === version)
    .map(([alias]) => alias)
}

/** A distribution's `ID` from what os-release, an agent or a path says: quotes off, aliases resolved. */
export function parseDistro(text: string): string {
  const name = unquote(text).toLowerCase()
  return DISTRO_ALIASES[name] ?? name
}

/** A distribution's version as archives have it: quotes off, code names and point releases resolved. */
export function parseVersion(distro: string, text: string): string {
  const name = unquote(text)
  const alias = VERSION_ALIASES[distro]?.[name.toLowerCase()]
  if (alias !== undefined) return alias
  const point = /^(\d+)\.\d[\d.]*$/.exec(name)
  return point !== null && MAJOR_ONLY.has(distro) ? (point[1] ?? name) : name
}

/**
 * A release as `uname -r` prints it, from text of an agent: blank and NUL ends off, `.btf` off. Throws
 * {@link KernelNameError} where the rest cannot be a release.
 */
export function parseRelease(text: string): string {
  const release = text
    .replace(/[\s\u0000]+$/, '')
    .trimStart()
    .replace(/\.btf$/, '')
  return checkName('release', release)
}

/** Refuses names that could not be one path segment: they come from mirrors, URLs and command lines. */
export function checkName(what: string, name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._+~:@-]{0,199}$/.test(name) || name.includes('..')) {
    const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)
    throw new KernelNameError(
      'BAD_NAME',
      `${what} ${shown}: expected 1 to 200 of letters, digits and . _ + ~ : @ -, starting with a letter or digit`,
    )
  }
  return name
}

/** `debian/12/x86_64/6.1.0-47-amd64`: a kernel for people, logs and URLs. */
export function formatKernel(kernel: Kernel): string {
  return `${kernel.distro}/${kernel.version}/${kernel.arch}/${kernel.release}`
}

/** The path of a kernel in btfhub's layout, without the ending. */
export function archivePath(kernel: Kernel): string {
  return `${kernel.distro}/${kernel.version}/${archiveArch(kernel.arch)}/${kernel.release}`
}

/** A kernel from its four names as a path or command line has them. Throws {@link KernelNameError}. */
export function makeKernel(distro: string, version: string, arch: string, release: string): Kernel {
  const id = checkName('distro', parseDistro(distro))
  const parsedArch = parseArch(arch)
  if (parsedArch === null) {
    throw new KernelNameError(
      'BAD_NAME',
      `arch ${JSON.stringify(arch)}: expected one of ${ARCHES.join(', ')}`,
    )
  }
  return {
    distro: id,
    version: checkName('version', parseVersion(id, version)),
    arch: parsedArch,
    release: parseRelease(release),
  }
}

/** The inverse of {@link formatKernel}, aliases accepted. Throws {@link KernelNameError}. */
export function parseKernel(text: string): Kernel {
  const [distro, version, arch, release, ...rest] = text.split('/')
  if (
    distro === undefined ||
    version === undefined ||
    arch === undefined ||
    release === undefined ||
    rest.length > 0
  ) {
    throw new KernelNameError(
      'BAD_NAME',
      `kernel ${JSON.stringify(text)}: expected DISTRO/VERSION/ARCH/RELEASE`,
    )
  }
  return makeKernel(distro, version, arch, release)
}

/** The release that a banner (the text of `/proc/version`, `linux_banner`) names; null where it is none. */
export function bannerRelease(banner: string): string | null {
  return /^Linux version (\S+) /.exec(banner)?.[1] ?? null
}

/** A build-id as lower-case hex; null where the text cannot be one. GNU ld makes 20 bytes, others 8 to 32. */
export function parseBuildId(text: string): string | null {
  const hex = text.trim().toLowerCase()
  return /^(?:[0-9a-f]{2}){8,32}$/.test(hex) ? hex : null
}

function unquote(text: string): string {
  return text.trim().replace(/^(["'])(.*)\1$/, '$2')
}
