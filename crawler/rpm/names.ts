import { checkName, KernelNameError } from '../../core/kernel.ts'
import type { KernelName } from '../names.ts'
import type { RpmNames } from '../schema.ts'

/** An rpm package's identity: `kernel-core`, `4.18.0`, `348.7.1.el8_5`, `x86_64`. */
export interface RpmId {
  readonly name: string
  readonly version: string
  readonly release: string
  readonly arch: string
}

/** What an rpm package's identity says about the kernel that it is of. */
export interface RpmKernelName extends KernelName {
  /** By which the build is known, whichever of its packages are there. */
  readonly packageName: string
}

/** Names of a distribution's kernel packages. */
export interface RpmKernelNames {
  /** True for the name of a package that can be of a kernel: all that is read of an index. */
  accepts(packageName: string): boolean
  /** Null for anything else: meta packages, headers, other architectures. */
  parse(id: RpmId): RpmKernelName | null
}

/** One flavour's rule with its names written out. */
interface Rule {
  readonly role: KernelName['role']
  readonly flavour: string
  readonly packageName: string
  readonly evr: RegExp
  readonly uname: string
}

/** Rules for names from a file under data/sources, for an architecture as the distribution calls it. */
export function rpmKernelNames(rules: RpmNames, arch: string): RpmKernelNames {
  const byName = new Map<string, Rule[]>()
  for (const rule of rules.kernels) {
    for (const flavour of rule.flavours) {
      const named = (template: string): string => template.replaceAll('{flavour}', flavour)
      const [packageName = ''] = rule.image.map(named)
      const common = { flavour, packageName, evr: new RegExp(rule.evr), uname: rule.uname }
      for (const role of ['image', 'debug', 'modules'] as const) {
        for (const name of rule[role].map(named)) {
          const known = byName.get(name)
          if (known === undefined) byName.set(name, [{ role, ...common }])
          else known.push({ role, ...common })
        }
      }
    }
  }
  return {
    accepts: (packageName) => byName.has(packageName),
    parse(id) {
      if (id.arch !== arch) return null
      for (const rule of byName.get(id.name) ?? []) {
        const match = rule.evr.exec(`${id.version}-${id.release}`)
        if (match === null) continue
        const release = unameOf(rule, id, match.groups ?? {})
        const series = /^\d+\.\d+/.exec(id.version)?.[0]
        if (release === null || series === undefined) return null
        const { role, flavour, packageName } = rule
        return { role, release, flavour, series, packageName }
      }
      return null
    },
  }
}

/** `NAME-VERSION-RELEASE.ARCH.rpm`; null for any other file name. */
export function parseRpmFileName(file: string): RpmId | null {
  const match = /^(?<name>[^/]+)-(?<version>[^-/]+)-(?<release>[^-/]+)\.(?<arch>[A-Za-z0-9_]+)\.rpm$/.exec(
    file,
  )?.groups
  if (match === undefined) return null
  const { name = '', version = '', release = '', arch = '' } = match
  return { name, version, release, arch }
}

function unameOf(rule: Rule, id: RpmId, groups: Readonly<Record<string, string | undefined>>): string | null {
  const words: Readonly<Record<string, string | undefined>> = {
    version: id.version,
    release: id.release,
    arch: id.arch,
    flavour: rule.flavour,
    ...groups,
  }
  const text = rule.uname.replace(/\{(\w+)\}/g, (_all, word: string) => words[word] ?? '')
  try {
    return checkName('release', text) === text ? text : null
  } catch (err) {
    if (err instanceof KernelNameError) return null
    throw err
  }
}
