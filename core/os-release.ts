import { type Kernel, parseDistro, parseVersion } from './kernel.ts'

/** What os-release(5) says of a system, as far as kernels are concerned; null and empty where it says nothing. */
export interface OsRelease {
  readonly distro: Kernel['distro'] | null
  readonly version: Kernel['version'] | null
  /** `ID_LIKE`: what it is a clone of, closest first. */
  readonly like: readonly string[]
  /** `UBUNTU_CODENAME`, which Ubuntu's derivatives keep, else `VERSION_CODENAME`. */
  readonly codename: string | null
}

/**
 * Reads the text of os-release. Assignments as os-release(5) has them: quotes of either kind, backslash escapes in
 * double quotes, comments, blanks; lines that are no assignment are skipped, of a repeated name the last one counts.
 */
export function parseOsRelease(text: string): OsRelease {
  const values = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*([A-Z][A-Z0-9_]*)=(.*?)\s*$/.exec(line)
    if (match !== null) values.set(match[1] as string, unquote(match[2] as string))
  }
  const named = (name: string): string | null => values.get(name)?.trim() || null
  const id = named('ID')
  const distro = id === null ? null : parseDistro(id)
  // Debian's testing and unstable have a code name only.
  const codename = named('UBUNTU_CODENAME') ?? named('VERSION_CODENAME')
  const versionId = named('VERSION_ID') ?? named('VERSION_CODENAME')
  return {
    distro,
    version: distro === null || versionId === null ? null : parseVersion(distro, versionId),
    like: (named('ID_LIKE') ?? '').split(/\s+/).filter(Boolean).map(parseDistro),
    codename,
  }
}

function unquote(text: string): string {
  const quoted = /^(["'])(.*)\1$/.exec(text)
  if (quoted === null) return text.replace(/\\(.)/g, '$1')
  const inner = quoted[2] as string
  return quoted[1] === '"' ? inner.replace(/\\([\\"$`])/g, '$1') : inner
}
