import { checkName, KernelNameError } from '../core/kernel.ts'
import type { NameRules } from './schema.ts'

/** What a package has of a kernel: `modules` has those and nothing else. */
export type PackageRole = 'image' | 'debug' | 'modules'

/** What a package's name says about the kernel that it is of. */
export interface KernelName {
  readonly role: PackageRole
  /** What `uname -r` prints on it. */
  readonly release: string
  /** `default` for the plain kernel. */
  readonly flavour: string
  /** `6.1`: the kernels that follow each other. */
  readonly series: string
}

/** Names of kernel packages of one architecture, as a distribution forms them. */
export interface KernelNames {
  /** What every such name contains. */
  readonly needle: string
  /** Null for the name of anything else: meta packages, templates, headers. */
  parse(packageName: string): KernelName | null
  /** The name that a build of this release is known by, whichever of its packages are there. */
  packageName(release: string): string
}

/** Rules for names from a file under data/sources, for an architecture as the distribution calls it. */
export function kernelNames(rules: NameRules, arch: string): KernelNames {
  const releases = rules.releases.map((pattern) => new RegExp(`^(?:${pattern.replaceAll('{arch}', arch)})$`))
  const templates = (['image', 'debug', 'modules'] as const).flatMap((role) =>
    rules[role].map((template) => ({ role, ...split(template) })),
  )
  const known = split(rules.package)
  return {
    needle: commonPrefix(templates.map(({ before }) => before)),
    packageName: (release) => `${known.before}${release}${known.after}`,
    parse(packageName) {
      for (const { role, before, after } of templates) {
        if (!packageName.startsWith(before) || !packageName.endsWith(after)) continue
        const release = packageName.slice(before.length, packageName.length - after.length)
        const groups = isRelease(release) ? matchFirst(releases, release) : null
        if (groups !== null) return { role, release, ...groups }
      }
      return null
    },
  }
}

function isRelease(text: string): boolean {
  try {
    return checkName('release', text) === text
  } catch (err) {
    if (err instanceof KernelNameError) return false
    throw err
  }
}

function matchFirst(
  patterns: readonly RegExp[],
  release: string,
): { flavour: string; series: string } | null {
  for (const pattern of patterns) {
    const groups = pattern.exec(release)?.groups
    if (groups === undefined) continue
    const flavour = [groups.flavour, groups.variant].filter((part) => part !== undefined).join('-')
    return { flavour: flavour === '' ? 'default' : flavour, series: groups.series ?? release }
  }
  return null
}

function split(template: string): { before: string; after: string } {
  const [before = '', after = ''] = template.split('{release}')
  return { before, after }
}

function commonPrefix(texts: readonly string[]): string {
  const [first = '', ...rest] = texts
  let length = first.length
  for (const text of rest) while (!text.startsWith(first.slice(0, length))) length--
  return first.slice(0, length)
}
