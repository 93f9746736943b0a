import {
  type Arch,
  ARCHES,
  bannerRelease,
  checkName,
  KernelNameError,
  parseArch,
  parseBuildId,
  parseDistro,
  parseRelease,
  parseVersion,
} from '../kernel.ts'
import { parseOsRelease } from '../os-release.ts'
import { FactsError } from './types.ts'

/** What an asker said, as it came. */
export interface Asked {
  readonly release?: string | undefined
  readonly arch?: string | undefined
  readonly distro?: string | undefined
  readonly version?: string | undefined
  readonly build_id?: string | undefined
  readonly banner?: string | undefined
  readonly os_release?: string | undefined
  readonly like?: boolean | undefined
}

/** What is known of the kernel that is wanted; null where nothing was said. */
export interface KernelFacts {
  readonly release: string | null
  readonly arch: Arch | null
  /** True where nobody said the architecture and it was taken for granted: then it contradicts nothing. */
  readonly archAssumed: boolean
  readonly distro: string | null
  /** As it was said, quotes off: what it means depends on the distribution (`7.9` is CentOS 7). */
  readonly version: string | null
  readonly buildId: string | null
  readonly banner: string | null
  /** Whether a clone's kernel will do, and what os-release says it is a clone of. */
  readonly like: boolean
  readonly likeDistros: readonly string[]
  readonly codename: string | null
}

/**
 * Reads what was asked: aliases, quotes, code names and point releases resolved. `arch` is assumed where it is not
 * said. Throws FactsError `BAD_REQUEST` for what cannot be, `CONTRADICTION` where two things said exclude each other.
 */
export function readFacts(asked: Asked, assume: { readonly arch?: Arch } = {}): KernelFacts {
  try {
    const os = asked.os_release === undefined ? null : parseOsRelease(asked.os_release)
    const banner = asked.banner === undefined ? null : readBanner(asked.banner)
    const arch = asked.arch === undefined ? null : readArch(asked.arch)
    const distro = asked.distro === undefined ? null : checkName('distro', parseDistro(asked.distro))
    agree('distro', distro, 'os_release', os?.distro ?? null)
    const release = asked.release === undefined ? null : readRelease(asked.release)
    agree('release', release, 'banner', banner === null ? null : bannerRelease(banner))
    const named = distro ?? (os === null || os.distro === null ? null : checkName('distro', os.distro))
    const version = asked.version ?? os?.version ?? null
    return {
      release: release ?? (banner === null ? null : bannerRelease(banner)),
      arch: arch ?? assume.arch ?? null,
      archAssumed: arch === null,
      distro: named,
      version: version === null ? null : checkName('version', parseVersion(named ?? '', version)),
      buildId: asked.build_id === undefined ? null : readBuildId(asked.build_id),
      banner,
      like: asked.like ?? false,
      likeDistros: os?.like ?? [],
      codename: os?.codename ?? null,
    }
  } catch (err) {
    if (err instanceof KernelNameError) throw new FactsError('BAD_REQUEST', err.message, { cause: err })
    throw err
  }
}

/** The banner as it is compared: `/proc/version` ends in a newline, an image's string in NUL. */
export function trimBanner(text: string): string {
  return text.replace(/[\s\u0000]+$/, '').trimStart()
}

function readBanner(text: string): string {
  const banner = trimBanner(text)
  if (bannerRelease(banner) === null) {
    throw new FactsError('BAD_REQUEST', 'banner: expected the text of /proc/version, "Linux version …"')
  }
  return banner
}

/** A release has no blanks, but a `+` in a query string that nobody encoded arrives as one. */
function readRelease(text: string): string {
  return parseRelease(text.trim().replaceAll(' ', '+'))
}

function readArch(text: string): Arch {
  const arch = parseArch(text)
  if (arch === null) {
    throw new FactsError(
      'BAD_REQUEST',
      `arch ${JSON.stringify(text)}: expected one of ${ARCHES.join(', ')}, amd64, arm64`,
    )
  }
  return arch
}

function readBuildId(text: string): string {
  const id = parseBuildId(text)
  if (id === null) {
    throw new FactsError('BAD_REQUEST', `build_id ${JSON.stringify(text)}: expected 8 to 32 bytes in hex`)
  }
  return id
}

function agree(what: string, value: string | null, other: string, otherValue: string | null): void {
  if (value !== null && otherValue !== null && value !== otherValue) {
    throw new FactsError('CONTRADICTION', `${what} says ${value}, ${other} says ${otherValue}`)
  }
}
