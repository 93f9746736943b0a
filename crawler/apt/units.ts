import { type Arch, parseVersion } from '../../core/kernel.ts'
import { type KernelNames, kernelNames } from '../names.ts'
import type { FoundPackage } from '../pair.ts'
import type { AptIndex, SourceFile } from '../schema.ts'
import type { Reportable } from '../report.ts'
import type { CrawlScope } from '../types.ts'
import { type FoundIndex, memoKeyOf } from './index-file.ts'
import type { Mirror } from './mirrors.ts'

export type AptSuite = AptIndex['versions'][string][number]

/** One `Packages` file that is wanted, and what became of it. */
export interface Unit extends Reportable {
  readonly names: KernelNames
  readonly component: string
  /** As the distribution says it. */
  readonly archName: string
  readonly troubles: string[]
  bytes: number
  url: string
  found: (FoundIndex & { readonly mirror: Mirror }) | null
}

/** The suites of a scope, each with the indexes that are wanted of it. */
export function wantedSuites(
  file: SourceFile,
  index: AptIndex,
  scope: CrawlScope,
): { suite: AptSuite; units: Unit[] }[] {
  const versions = new Set(scope.versions.map((version) => parseVersion(file.distro, version)))
  const arches = (Object.entries(file.arches) as [Arch, string][]).filter(
    ([arch]) => scope.arches.length === 0 || scope.arches.includes(arch),
  )
  const archesOf = (suite: AptSuite): [Arch, string][] =>
    arches.filter(([arch]) => suite.arches?.includes(arch) ?? true)
  return Object.entries(index.versions)
    .filter(([version]) => versions.size === 0 || versions.has(version))
    .flatMap(([version, suites]) =>
      suites.map((suite) => ({
        suite,
        units: index.components.flatMap((component) =>
          archesOf(suite).map(([arch, archName]) => {
            const where = [file.id, suite.archive, suite.suite, component, archName]
            const several = index.components.length > 1 ? ` ${component}` : ''
            return {
              label: `${file.distro}/${version} ${suite.suite}${several} ${archName}`,
              version,
              arch,
              names: kernelNames(index.names, archName),
              component,
              archName,
              memoKey: memoKeyOf(where, index.names),
              archive: suite.archive,
              frozen: suite.frozen,
              troubles: [],
              absentAt: null,
              notBefore: null,
              bytes: 0,
              url: '',
              found: null,
            }
          }),
        ),
      })),
    )
}

/** A unit's packages with their URLs: of the mirror that listed them, then of all others that should have them too. */
export function packagesOf(unit: Unit, mirrors: readonly Mirror[]): FoundPackage[] {
  if (unit.found === null) return []
  const { entries, mirror, signed } = unit.found
  const bases = [mirror.base, ...mirrors.map(({ base }) => base).filter((base) => base !== mirror.base)]
  return entries.flatMap((entry) => {
    const name = unit.names.parse(entry.name)
    if (name === null) return []
    const path = entry.path.split('/').map(encodeURIComponent).join('/')
    const urls = bases.map((base) => `${base}/${path}`)
    const { version, sizeBytes, sha256 } = entry
    return [
      {
        name,
        version: unit.version,
        arch: unit.arch,
        packageName: unit.names.packageName(name.release),
        file: { name: entry.name, version, urls, sizeBytes, sha256, signed: signed && sha256 !== null },
      },
    ]
  })
}
